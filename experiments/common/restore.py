"""Opening a training run to use it: the model of its checkpoint."""

import os
import pathlib
from typing import Any, NamedTuple

from absl import flags

from experiments.common.run import Experiment
from wavenet_jax import InputError
from wavenet_jax.checkpoints import Checkpoints

STEP = flags.DEFINE_integer(
    "step", None, "Checkpoint to use; the newest by default.", lower_bound=0
)


class TrainedModel(NamedTuple):
    """An experiment and what it has learned.

    Attributes:
      experiment: read from the checkpoint, with the model's config.
      params: the EMA parameters.
      step: updates they have seen.
    """

    experiment: Experiment
    params: Any
    step: int


def load(workdir: str | os.PathLike[str], step: int | None = None) -> TrainedModel:
    """Reads a checkpoint of a work directory, the newest by default.

    Raises:
      InputError: there is none, or it cannot be read.
    """
    if not pathlib.Path(workdir).is_dir():
        raise InputError(f"There is no work directory {workdir}: train first, or name another.")
    with Checkpoints(workdir, read_only=True) as saved:
        checkpoint = saved.restore(step)
    state = checkpoint.state
    return TrainedModel(Experiment.from_dict(checkpoint.config), state.ema_params, int(state.step))
