"""Checkpoints of training runs, written by orbax in the background.

Each holds the whole training state, the position in the data and a description: the
configurations of model, training and audio. A checkpoint appears under its step's name only once
it is complete, so that a kill at any moment leaves the one before it whole. Checksums of all
content are verified on reading.

Checkpoints of format version 1 (wavenet_jax 0.1) are converted on reading: `convert_version_1`.
"""

import dataclasses
import math
import os
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from wavenet_jax import folders, storage
from wavenet_jax.autoencoder import AutoencoderConfig
from wavenet_jax.config import WaveNetConfig, from_dict
from wavenet_jax.errors import InputError
from wavenet_jax.recognition.recognizer import RecognizerConfig
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training import ModelConfig, TrainingConfig, TrainState, init_state

_MODELS: dict[str, type] = {
    "wavenet": WaveNetConfig,
    "recognizer": RecognizerConfig,
    "student": StudentConfig,
    "autoencoder": AutoencoderConfig,
}
"""The `type` of a model in a description, and its configuration."""

_VERSION_1_SCORE = "held_out"

_POSITION = "0"
"""The field with the position in the data. Processes once wrote it each under its number, the same
for all of them."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A restored checkpoint.

    Attributes:
      state: of numpy arrays.
      description: as it was saved, converted to this format version; `model` has a `type`.
      model_config: `description["model"]` as a dataclass.
      training_config: `description["training"]` as a dataclass.
      format_version: in which it was written. In version 1 `description["experiment"]` is
        of that version still: whoever wrote it converts it.
      data_position: of the iterator over the data, one for all processes.
    """

    state: TrainState
    description: dict[str, Any]
    model_config: ModelConfig
    training_config: TrainingConfig
    format_version: int
    data_position: Any


class Checkpoints:
    """The checkpoints of one work directory, `workdir/checkpoints/STEP/`.

    The newest `keep` are kept, and the one with the best score.

    Args:
      workdir: of the run.
      keep: how many of the newest are kept.
      best_score: the name of the score by which the best one is kept, smaller being better;
        None to keep none for its score. `restore("best")` goes by the name that the newest
        checkpoint was saved with, where none is given.
      read_only: whether to create, write and remove nothing.

    Raises:
      InputError: `keep` is below 1; or the checkpoints that are there are damaged.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        keep: int = 3,
        best_score: str | None = None,
        read_only: bool = False,
    ):
        self.directory = folders.absolute(workdir) / "checkpoints"
        self._best_score = best_score
        if keep < 1:
            raise InputError(f"The number of checkpoints to keep is {keep}: give at least 1.")

        options = ocp.CheckpointManagerOptions(
            preservation_policy=_NewestAndBest(keep, best_score),
            best_fn=lambda metrics: 0.0,  # without one orbax writes no scores
            read_only=read_only,
            create=not read_only,
            save_interval_steps=0 if read_only else 1,
        )
        self._manager = storage.opened(self.directory, options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error):
        self._manager.close()

    def save(
        self,
        state: TrainState,
        *,
        data_position: Any,
        description: Mapping[str, Any],
        scores: Mapping[str, float] | None = None,
    ) -> None:
        """Begins to save, and returns once the state may change again.

        Args:
          state: of the training.
          data_position: of the iterator over the data, fit for JSON and one for all processes.
          description: `model` and `training` (`config.to_dict`), and anything else that is fit
            for JSON.
          scores: on held-out recordings by name, if they were measured.

        Raises:
          InputError: the scores lack `best_score`; this or the previous checkpoint could not
            be written, or the disk is too full for it.
        """
        if scores is not None and self._best_score not in (None, *scores):
            raise InputError(
                f"There is no score {self._best_score!r} to keep the best checkpoint by: use one "
                f"of {', '.join(scores)}."
            )
        config = storage.with_versions(description) | {"best_score": self._best_score}
        config["model"] = with_type(config["model"])
        step = int(state.step)
        # A copy on the host: the next step is given the state's own buffers.
        state = jax.tree.map(lambda x: np.array(x, copy=True), state)
        self._check_free_space(sum(x.nbytes for x in jax.tree.leaves(state)))
        args = storage.save_args(state, config=config, data={_POSITION: data_position})
        metrics = {name: float(score) for name, score in (scores or {}).items()}
        self._writing(self._manager.save, step, args=args, metrics=metrics)

    def wait(self) -> None:
        """Returns when all that was saved is on disk."""
        self._writing(self._manager.wait_until_finished)

    def _check_free_space(self, num_bytes: int) -> None:
        """Refuses what will not fit before anything of it is written; a bucket is never full."""
        if folders.is_bucket(self.directory):
            return
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
                f"({storage.first_line(error)}): free some space or choose another workdir; "
                f"the newest whole checkpoint is that of step {self.latest_step}."
            ) from error

    @property
    def latest_step(self) -> int | None:
        """The step of the newest checkpoint, or None without any."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step of the best score, or None where none was saved.

        Raises:
          InputError: the newest checkpoint, which has the score's name, is damaged; or scores are.
        """
        name, newest = self._best_score, self.latest_step
        if name is None and newest is not None:
            try:
                _, config = self._read_config(newest)
            except storage.DamagedError as error:
                raise InputError(self._damaged(newest, str(error))) from error
            name = config.get("best_score")
        return _best_step({x: self._scores(x) for x in self._manager.all_steps()}, name)

    def _scores(self, step: int) -> Mapping[str, float] | None:
        """The scores of a checkpoint, from its file, or None without any.

        Raises:
          InputError: they are no numbers by name.
        """
        scores = self._manager.metrics(step)
        if scores is not None and not _are_scores(scores):
            folder = self.directory / str(step)
            raise InputError(
                f"The scores of {folder} are {scores!r:.60}, which are no numbers by name: "
                f"restore its files from a copy, or move it out of {self.directory}."
            )
        return scores

    def restore(self, step: int | str | None = "last") -> Checkpoint:
        """Restores a checkpoint.

        Args:
          step: "last", which training goes on from; "best", that of the best score; a number;
            or None for the best where there is a score, and else the last.

        Raises:
          InputError: there is none; or it is of another version, or damaged.
        """
        number = self._number(step)
        name = f"The checkpoint {self.directory / str(number)}"
        try:
            version, config = self._read_config(number)
            checksums = None
            names = ["data"] if version == 1 else ["data", "checksums"]
            items = storage.read_json(self._manager, number, *names)
            if version > 1:
                checksums = items["checksums"]
                storage.verify_json(checksums, {"config": config, "data": items["data"]})
            with storage.misfits(config, name):
                description = convert_version_1(config) if version == 1 else config
                model_config = model_config_of(description["model"])
                training_config = from_dict(TrainingConfig, description["training"], "training")
                like = jax.eval_shape(lambda: init_state(model_config, training_config))
                data_position = items["data"][_POSITION]
                if checksums is not None:
                    storage.check_arrays(checksums, like)
            state = storage.read_state(self._manager, number, like, checksums)
        except storage.DamagedError as error:
            raise InputError(self._damaged(number, str(error))) from error
        return Checkpoint(
            state=state,
            description=description,
            model_config=model_config,
            training_config=training_config,
            format_version=version,
            data_position=data_position,
        )

    def _number(self, step: int | str | None) -> int:
        if step not in ("last", "best", None) and not isinstance(step, int):
            raise InputError(f"The step is {step!r}: use 'last', 'best' or a number.")
        steps = sorted(self._manager.all_steps())
        if not steps:
            raise InputError(
                f"There is no checkpoint in {self.directory}: train first, or name the folder "
                "of a run, or of a model."
            )
        if step == "last":
            return steps[-1]
        if step in ("best", None):
            best = self.best_step
            if best is None and step is None:
                return steps[-1]
            if best is None:
                raise InputError(
                    f"No checkpoint in {self.directory} has the score that the best one is chosen "
                    f"by: use 'last' or one of the steps {', '.join(map(str, steps))}."
                )
            return best
        if step not in steps:
            raise InputError(
                f"There is no checkpoint of step {step} in {self.directory}: use one of "
                f"{', '.join(map(str, steps))}."
            )
        return int(step)

    def _read_config(self, step: int) -> tuple[int, dict[str, Any]]:
        """Format version and content of the `config` item."""
        config = storage.read_json(self._manager, step, "config")["config"]
        return storage.read_version(config, f"The checkpoint {self.directory / str(step)}"), config

    def _damaged(self, step: int, reason: str) -> str:
        folder = self.directory / str(step)
        earlier = [other for other in self._manager.all_steps() if other < step]
        if not earlier:
            later = [other for other in self._manager.all_steps() if other > step]
            remedy = f"use that of step {max(later)} (--step={max(later)}), " if later else ""
            return (
                f"The checkpoint {folder} cannot be read ({reason}), and there is no earlier one: "
                f"{remedy}restore its files from a copy, or train in another workdir."
            )
        return (
            f"The checkpoint {folder} cannot be read ({reason}): use that of step {max(earlier)}, "
            f"{step - max(earlier)} steps before it (--step={max(earlier)}); to train on from "
            f"there, move {folder} out of {self.directory}."
        )


def convert_version_1(config: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a version 1 checkpoint in version 2.

    `model` gets its `type`, and a recognizer the WaveNet that it was a field of; `audio` the
    labels that the experiment's global condition named; `sequence_model` becomes `bigram_lm`.
    `experiment` is left to the programs that wrote it.

    Raises:
      KeyError: a field is missing.
    """
    description = dict(config)
    model = dict(description["model"])
    recognizer = model.pop("recognizer", None)
    if recognizer is None:
        description["model"] = {"type": "wavenet"} | model
    else:
        description["model"] = {"type": "recognizer", "wavenet": model} | recognizer
    audio = description["audio"]
    condition = description.get("experiment", {}).get("global_condition") or {}
    description["audio"] = {
        "sample_rate_hz": audio["sample_rate_hz"],
        "pre_emphasis": audio["pre_emphasis"],
        "classes": audio["classes"],
        "global_labels": list(condition.get("labels", [])),
        "multi_label": bool(condition.get("several", False)),
    }
    bigram_lm = description.pop("sequence_model", None)
    if bigram_lm:
        bigram_lm = dict(bigram_lm)
        bigram_lm["min_frames"] = bigram_lm.pop("least_frames")
    description["bigram_lm"] = bigram_lm
    return description


def with_type(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A description's `model`, of the fields of one of `_MODELS`."""
    kind = "student" if "teacher" in fields else "wavenet"
    if "wavenet" in fields:
        kind = "recognizer" if "num_classes" in fields else "autoencoder"
    return {"type": kind} | dict(fields)


def model_config_of(fields: Mapping[str, Any]) -> ModelConfig:
    """The configuration of a description's `model`.

    Raises:
      InputError: its type, or a field of it, is unknown.
    """
    fields = dict(fields)
    kind = fields.pop("type")
    if kind not in _MODELS:
        raise InputError(f"The model's type is {kind!r}: use one of {', '.join(_MODELS)}.")
    return from_dict(_MODELS[kind], fields, "model")


@dataclasses.dataclass(frozen=True)
class _NewestAndBest:
    """Which checkpoints orbax keeps."""

    keep: int
    best_score: str | None

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        del context
        kept = set(sorted(checkpoint.step for checkpoint in checkpoints)[-self.keep :])
        if self.best_score is not None:
            scores = {checkpoint.step: checkpoint.metrics for checkpoint in checkpoints}
            kept.add(_best_step(scores, self.best_score))
        return [checkpoint.step in kept for checkpoint in checkpoints]


def _are_scores(scores: Any) -> bool:
    """Whether they are floats by name, which need not be finite."""
    return isinstance(scores, Mapping) and all(
        isinstance(x, float) or (isinstance(x, int) and abs(x) < 2**1000) for x in scores.values()
    )


def _best_step(scores: Mapping[int, Mapping[str, float] | None], name: str | None) -> int | None:
    """The step with the smallest finite score of a name.

    Version 1 has one score, whatever its name.
    """
    named = {
        step: each.get(name or "", each.get(_VERSION_1_SCORE, math.nan))
        for step, each in scores.items()
        if each is not None
    }
    finite = [(score, step) for step, score in named.items() if math.isfinite(score)]
    return min(finite)[1] if finite else None
