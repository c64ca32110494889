"""Restoring a trained model from the checkpoints of a work directory."""

import os
import pathlib
from typing import Any, NamedTuple

from experiments.common.run import Run
from wavenet_jax import InputError
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.loading import Model


class TrainedModel(NamedTuple):
    """A run and its parameters.

    Attributes:
      run: read from the checkpoint.
      params: the EMA parameters.
      step: number of updates.
    """

    run: Run
    params: Any
    step: int

    @property
    def generator(self) -> Model:
        """The WaveNet, also that of a recognizer, as `wavenet_jax.load` gives it."""
        return Model(
            config=self.run.wavenet,
            params=self.params,
            audio=self.run.audio,
            step=self.step,
            description=self.run.to_dict(),
        )


def load(workdir: str | os.PathLike[str], step: int | str | None = None) -> TrainedModel:
    """Reads a checkpoint of a work directory.

    Args:
      workdir: of a training run.
      step: "last", "best" (by `config.best_score`), or a number; by default the best where
        there is a score, and else the last.

    Raises:
      InputError: there is none, or it cannot be read.
    """
    if not pathlib.Path(workdir).is_dir():
        raise InputError(f"There is no work directory {workdir}: train first, or name another.")
    with Checkpoints(workdir, read_only=True) as saved:
        checkpoint = saved.restore(step)
    state = checkpoint.state
    return TrainedModel(Run.from_checkpoint(checkpoint), state.ema_params, int(state.step))
