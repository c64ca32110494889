"""What a student has of its teacher: the model, the sound, the networks of prosody."""

import dataclasses
import hashlib
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from experiments.common import prosody, restore
from experiments.common.run import Run
from experiments.configs.schema import flag_of
from wavenet_jax import InputError
from wavenet_jax.config import WaveNetConfig, to_dict
from wavenet_jax.prosody import checkpoints
from wavenet_jax.prosody.networks import NUM_OUTPUTS, init_state

_FREE = ("dropout", "rematerialize", "dtype")
"""Fields of the model that the parameters do not depend on."""


def require_teacher(teacher: restore.TrainedModel, folder: str | os.PathLike[str]) -> None:
    """Refuses a model of which there is no student.

    Args:
      teacher: the model.
      folder: its own.

    Raises:
      InputError: it is no WaveNet of Gaussian output and scalar input, or has context stacks.
    """
    model = teacher.run.model
    if not isinstance(model, WaveNetConfig):
        kind = "student" if teacher.run.student else "recognizer"
        raise InputError(
            f"--teacher is {folder}, a {kind}: name the run of a WaveNet that generates."
        )
    if model.output != "gaussian" or model.input != "scalar":
        raise InputError(
            f"--teacher is {folder}, whose output is {model.output!r} and whose input is "
            f"{model.input!r}: train one with --config.model.output=gaussian and "
            "--config.model.input=scalar, such as experiments/configs/gaussian.py."
        )
    if model.context_stacks:
        raise InputError(
            f"--teacher is {folder}, which has context stacks: train one without, for no student "
            "is distilled from them."
        )


def taught(run: Run, teacher: restore.TrainedModel) -> Run:
    """A student's run, with the SHA-256 of its teacher's parameters.

    Raises:
      InputError: the config is for another teacher: with the flag of the first field that differs,
        and both values.
    """
    theirs = teacher.run
    for name in ("sample_rate_hz", "global_condition", "local_condition", "model"):
        here, there = (
            traverse_util.flatten_dict({name: to_dict(getattr(of.config, name))}, sep=".")
            for of in (run, theirs)
        )
        for path in here:
            if path.rpartition(".")[2] not in _FREE and here[path] != there[path]:
                raise InputError(
                    f"{flag_of(path)} is {here[path]!r}, and the teacher has {there[path]!r}: give "
                    "the same, for a student has its teacher's rate, conditions and model."
                )
    if run.audio != theirs.audio or run.questions != theirs.questions:
        raise InputError(
            f"The corpus {run.config.dataset} has other classes, questions or another filter than "
            f"the teacher's, {theirs.config.dataset}: distil on the corpus that the teacher was "
            "trained on, with its --config.noise_shaping and --config.pre_emphasis."
        )
    return dataclasses.replace(run, teacher_sha256=_sha256(teacher.params))


def copy_prosody(
    run: Run, teacher_folder: str | os.PathLike[str], workdir: str | os.PathLike[str]
) -> list[str]:
    """Copies the teacher's trained networks of prosody beside a student, which is then
    given the frames that the teacher would be.

    Returns:
      The kinds of those that were copied: all that the teacher has and the student lacks.
    """
    copied = []
    for kind in NUM_OUTPUTS:
        saved = prosody.network(teacher_folder, kind)
        if saved is None or prosody.network(workdir, kind) is not None:
            continue
        prosody.check_fits(run, saved, teacher_folder)
        state = init_state(saved.config).replace(  # type: ignore[attr-defined]
            step=jnp.int32(saved.config.num_steps), params=saved.params
        )
        checkpoints.save(workdir, saved.config, state, saved.description)
        copied.append(kind)
    return copied


def _sha256(params: Any) -> str:
    """Of parameters, by their names in order."""
    digest = hashlib.sha256()
    arrays = traverse_util.flatten_dict(jax.device_get(params), sep="/")
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name], np.float32).tobytes())
    return digest.hexdigest()
