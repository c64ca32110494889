"""Opening a training run to use it: the model of its checkpoint."""

import os
import pathlib
from typing import Any, Literal, NamedTuple

from experiments.common.run import Run
from wavenet_jax import InputError
from wavenet_jax.checkpoints import Checkpoints


class TrainedModel(NamedTuple):
    """A run and its parameters.

    Attributes:
      run: read from the checkpoint, with the model's config.
      params: the EMA parameters.
      step: updates they have seen.
    """

    run: Run
    params: Any
    step: int


def load(
    workdir: str | os.PathLike[str], step: int | Literal["newest", "best"] = "newest"
) -> TrainedModel:
    """Reads a checkpoint of a work directory.

    Raises:
      InputError: there is none, or it cannot be read.
    """
    if not pathlib.Path(workdir).is_dir():
        raise InputError(f"There is no work directory {workdir}: train first, or name another.")
    with Checkpoints(workdir, read_only=True) as saved:
        if step == "best":
            step = saved.best_step or "newest"
        checkpoint = saved.restore(None if step == "newest" else step)
    state = checkpoint.state
    return TrainedModel(Run.from_dict(checkpoint.config), state.ema_params, int(state.step))
