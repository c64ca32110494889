"""Checkpoints that explain themselves, written by orbax in the background.

Each holds the whole training state, the position in the data and the config
with its audio settings. A checkpoint appears under its step's name only once it
is complete, so that a kill at any moment leaves the one before it whole.
"""

import dataclasses
import json
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    BestN,
    LatestN,
)

from wavenet_jax import prosody, training
from wavenet_jax.errors import InputError
from wavenet_jax.prosody import ProsodyConfig, ProsodyState
from wavenet_jax.training import TrainingConfig, TrainState
from wavenet_jax.wavenet import WaveNetConfig, config_from_dict

SCORE = "held_out"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What was restored.

    Attributes:
      state: of numpy arrays.
      data_position: of this process's iterator, as it was given.
      config: the whole, with `model` and `training` among its keys.
      model_config: `config["model"]` as the model takes it.
    """

    state: TrainState
    data_position: Any
    config: dict[str, Any]
    model_config: WaveNetConfig


def _open(directory: pathlib.Path, **options: Any) -> ocp.CheckpointManager:
    """Orbax's manager, without its warnings that what is opened to be read is read only."""
    logger = logging.getLogger("absl")

    def is_news(record: logging.LogRecord) -> bool:
        return record.module != "checkpoint_manager" or not re.search("read.only", record.msg)

    logger.addFilter(is_news)
    try:
        return ocp.CheckpointManager(directory, options=ocp.CheckpointManagerOptions(**options))
    finally:
        logger.removeFilter(is_news)


class Checkpoints:
    """The checkpoints of one work directory, `workdir/checkpoints/STEP/`.

    The newest `keep` are kept, and the one with the best held-out score. Opened
    `read_only`, nothing is made, removed or kept.
    """

    def __init__(self, workdir: str | os.PathLike[str], *, keep: int = 3, read_only: bool = False):
        self.directory = pathlib.Path(workdir).absolute() / "checkpoints"
        if keep < 1:
            raise InputError(f"The number of checkpoints to keep is {keep}: give at least 1.")
        best = BestN(
            get_metric_fn=lambda metrics: metrics[SCORE],
            reverse=True,  # the last in order is kept: the fewest bits
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        self._manager = _open(
            self.directory,
            preservation_policy=AnyPreservationPolicy([LatestN(keep), best]),
            best_fn=best.get_metric_fn,  # without it orbax writes no metrics
            best_mode="min",
            read_only=read_only,
            create=not read_only,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error):
        self._manager.close()

    def save(
        self,
        state: TrainState,
        *,
        data_position: Any,
        config: Mapping[str, Any],
        score: float | None = None,
    ) -> None:
        """Begins to save, and returns once the state may change again.

        Args:
          state: the training's.
          data_position: of this process's iterator, anything JSON can hold.
          config: the whole config, anything JSON can hold.
          score: on held-out recordings, less being better, if it was measured.

        Raises:
          InputError: this or the previous checkpoint could not be written, or the
            disk is too full for it.
        """
        step = int(state.step)
        # A copy on the host: the next step is given the state's own buffers.
        state = jax.tree.map(lambda x: np.array(x, copy=True), state)
        self._check_free_space(sum(x.nbytes for x in jax.tree.leaves(state)))
        items = {
            "state": ocp.args.StandardSave(dataclasses.asdict(state)),
            "data": ocp.args.JsonSave(_of_all_processes(data_position)),
            "config": ocp.args.JsonSave(dict(config)),
        }
        metrics = None if score is None else {SCORE: score}
        self._writing(self._manager.save, step, args=ocp.args.Composite(**items), metrics=metrics)

    def wait(self) -> None:
        """Returns when all that was saved is on disk."""
        self._writing(self._manager.wait_until_finished)

    def _check_free_space(self, num_bytes: int) -> None:
        """Refuses what will not fit before anything of it is written."""
        needed, free = num_bytes + num_bytes // 8 + 2**20, shutil.disk_usage(self.directory).free
        if free < needed:
            raise InputError(
                f"A checkpoint needs {needed / 2**20:.1f} MiB in {self.directory}, where "
                f"{free / 2**20:.1f} MiB are free: free some space or choose another workdir; "
                f"the newest whole checkpoint is that of step {self.latest_step}."
            )

    def _writing(self, write, *args, **kwargs):
        try:
            write(*args, **kwargs)
        except Exception as error:  # orbax and tensorstore raise many kinds
            raise InputError(
                f"A checkpoint could not be written in {self.directory} "
                f"({_first_line(error)}): free some space or choose another workdir; "
                f"the newest whole checkpoint is that of step {self.latest_step}."
            ) from error

    @property
    def latest_step(self) -> int | None:
        """The newest checkpoint's step, or None where there is none."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step of the best held-out score, or None where none was scored."""
        scored = [
            (metrics[SCORE], step)
            for step in self._manager.all_steps()
            if (metrics := self._manager.metrics(step)) is not None
        ]
        return min(scored)[1] if scored else None

    def restore(self, step: int | None = None) -> Checkpoint:
        """Restores a checkpoint, the newest by default.

        Raises:
          InputError: there is none, or it cannot be read.
        """
        if step is None:
            step = self.latest_step
        if step is None or step not in self._manager.all_steps():
            raise InputError(
                f"There is no checkpoint {'' if step is None else f'of step {step} '}"
                f"in {self.directory}: train first, or name the workdir of a run."
            )
        try:
            described = self._manager.restore(
                step,
                args=ocp.args.Composite(config=ocp.args.JsonRestore(), data=ocp.args.JsonRestore()),
            )
            config = described["config"]
            model_config = config_from_dict(config["model"])
            like = jax.eval_shape(
                lambda: training.init_state(model_config, TrainingConfig(**config["training"]))
            )
            like = dataclasses.asdict(like)
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(
                        jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
                    )
                ),
            )
        except Exception as error:  # whatever a damaged file makes them raise
            raise InputError(
                f"The checkpoint {self.directory / str(step)} cannot be read "
                f"({_first_line(error)}): delete that directory to go on from the "
                "checkpoint before it."
            ) from error
        return Checkpoint(
            state=TrainState(**restored["state"]),
            data_position=_of_this_process(described["data"]),
            config=config,
            model_config=model_config,
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no message'}"


def _of_all_processes(position: Any) -> dict[str, Any]:
    """Process number to data position, gathered where there are several."""
    if jax.process_count() == 1:
        return {"0": position}
    text = np.frombuffer(json.dumps(position).encode(), np.uint8)
    longest = int(multihost_utils.process_allgather(np.array(len(text))).max())
    padded = np.pad(text, (0, longest - len(text)), constant_values=ord(" "))
    gathered = multihost_utils.process_allgather(padded)
    return {str(i): json.loads(bytes(row)) for i, row in enumerate(gathered)}


def _of_this_process(positions: Mapping[str, Any]) -> Any:
    if len(positions) != jax.process_count():
        raise InputError(
            f"The checkpoint was saved by {len(positions)} processes and is resumed "
            f"by {jax.process_count()}: use as many hosts as before."
        )
    return positions[str(jax.process_index())]


class ProsodyCheckpoint(NamedTuple):
    """A network of durations or of pitch, as it was saved.

    Attributes:
      config: of the network.
      state: of its training.
      described: what else was saved with it.
    """

    config: ProsodyConfig
    state: ProsodyState
    described: dict[str, Any]


def save_prosody(
    workdir: str | os.PathLike[str],
    config: ProsodyConfig,
    state: ProsodyState,
    described: Mapping[str, Any],
) -> None:
    """Saves to `workdir/prosody/KIND/STEP/`, then removes what was there of earlier steps.

    Args:
      workdir: of the WaveNet that it belongs to.
      config: of the network.
      state: of its training.
      described: what is to be known of it, anything JSON can hold.

    Raises:
      InputError: it could not be written.
    """
    directory = _prosody_directory(workdir, config.kind)
    try:
        options = ocp.CheckpointManagerOptions(max_to_keep=1)
        with ocp.CheckpointManager(directory, options=options) as manager:
            about = {"network": dataclasses.asdict(config), "described": dict(described)}
            items = {
                "state": ocp.args.StandardSave(_as_dict(state)),
                "config": ocp.args.JsonSave(about),
            }
            manager.save(int(state.step), args=ocp.args.Composite(**items))
    except Exception as error:  # orbax and tensorstore raise many kinds
        raise InputError(
            f"The prosody could not be saved in {directory} ({_first_line(error)}): free some "
            "space or choose another workdir."
        ) from error


def restore_prosody(workdir: str | os.PathLike[str], kind: str) -> ProsodyCheckpoint | None:
    """What `save_prosody` saved last, or None where nothing was.

    Raises:
      InputError: it cannot be read.
    """
    directory = _prosody_directory(workdir, kind)
    if not directory.is_dir():
        return None
    try:
        with _open(directory, read_only=True) as manager:
            if (step := manager.latest_step()) is None:
                return None
            about = manager.restore(step, args=ocp.args.Composite(config=ocp.args.JsonRestore()))
            config = ProsodyConfig(**_with_tuples(about["config"]["network"]))
            like = jax.eval_shape(lambda: prosody.init_state(config))
            item = ocp.args.StandardRestore(
                jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), _as_dict(like))
            )
            restored = manager.restore(step, args=ocp.args.Composite(state=item))
    except Exception as error:  # whatever a damaged file makes them raise
        raise InputError(
            f"The prosody in {directory} cannot be read ({_first_line(error)}): delete that "
            "directory and train it again."
        ) from error
    return ProsodyCheckpoint(
        config, ProsodyState(**restored["state"]), about["config"]["described"]
    )


def _prosody_directory(workdir: str | os.PathLike[str], kind: str) -> pathlib.Path:
    return pathlib.Path(workdir).absolute() / "prosody" / kind


def _as_dict(state: ProsodyState) -> dict[str, Any]:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(x) if isinstance(x, list) else x for name, x in fields.items()}
