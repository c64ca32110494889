"""Checkpoints of the networks of durations and F0, beside those of their WaveNet."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from wavenet_jax import folders, storage
from wavenet_jax.config import from_dict, to_dict
from wavenet_jax.errors import InputError
from wavenet_jax.prosody.networks import ProsodyConfig, ProsodyState, init_state


class ProsodyCheckpoint(NamedTuple):
    """A restored network.

    Attributes:
      config: of the network.
      state: of its training.
      description: as it was saved.
    """

    config: ProsodyConfig
    state: ProsodyState
    description: dict[str, Any]


def save(
    workdir: str | os.PathLike[str],
    config: ProsodyConfig,
    state: ProsodyState,
    description: Mapping[str, Any],
) -> None:
    """Saves to `workdir/prosody/KIND/STEP/`, then removes the earlier steps of that kind.

    Args:
      workdir: of the WaveNet that it belongs to.
      config: of the network.
      state: of its training.
      description: of the data it is for, fit for JSON.

    Raises:
      InputError: it could not be written.
    """
    directory = _directory(workdir, config.kind)
    content = {"network": to_dict(config), "described": dict(description)}
    args = storage.save_args(jax.tree.map(np.asarray, state), config=storage.with_versions(content))
    try:
        options = ocp.CheckpointManagerOptions(max_to_keep=1)
        with ocp.CheckpointManager(directory, options=options) as manager:
            manager.save(int(state.step), args=args)
    except Exception as error:  # orbax and tensorstore raise many kinds
        raise InputError(
            f"The prosody could not be saved in {directory} ({storage.first_line(error)}): free "
            "some space or choose another workdir."
        ) from error


def restore(workdir: str | os.PathLike[str], kind: str) -> ProsodyCheckpoint | None:
    """The network of a kind that was saved last, or None without any.

    Raises:
      InputError: it is of another version, or damaged.
    """
    directory = _directory(workdir, kind)
    if not directory.is_dir():
        return None
    options = ocp.CheckpointManagerOptions(read_only=True, save_interval_steps=0)
    with storage.without_read_only_warning():
        manager = ocp.CheckpointManager(directory, options=options)
    with manager:
        step = manager.latest_step()
        if step is None:
            return None
        try:
            return _read(manager, step, f"The prosody in {directory}")
        except storage.DamagedError as error:
            raise InputError(
                f"The prosody in {directory} cannot be read ({error}): restore its files from a "
                "copy, or move that folder away and train it again."
            ) from error


def _read(manager: ocp.CheckpointManager, step: int, name: str) -> ProsodyCheckpoint:
    content = storage.read_json(manager, step, "config")["config"]
    version = storage.read_version(content, name)
    checksums = None
    if version > 1:
        checksums = storage.read_json(manager, step, "checksums")["checksums"]
        storage.verify_json(checksums, {"config": content})
    with storage.misfits(content, name):
        config = from_dict(ProsodyConfig, content["network"], "network")
        description = content["described"]
        like = jax.eval_shape(lambda: init_state(config))
        if checksums is not None:
            storage.check_arrays(checksums, like)
    return ProsodyCheckpoint(
        config, storage.read_state(manager, step, like, checksums), description
    )


def _directory(workdir: str | os.PathLike[str], kind: str) -> epath.Path:
    return folders.absolute(workdir) / "prosody" / kind
