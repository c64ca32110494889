"""Training of variants of a config, which is what most studies compare."""

import copy
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections

from experiments.common import restore
from experiments.configs import schema
from experiments.tasks.evaluation import evaluate
from experiments.tasks.training import train
from wavenet_jax import InputError

Change = Callable[[ml_collections.ConfigDict], None]
"""A function that changes the config of a variant in place."""

STOPPED = 130
"""Exit code of a study that a signal stopped, as a shell has it for SIGINT."""

MAX_HELD_OUT_RECORDINGS = 10
"""Recordings that the scores at the end of a training are of; studies score all of a split."""


def all_of(*changes: Change) -> Change:
    """The changes one after the other."""

    def change(config: ml_collections.ConfigDict) -> None:
        for each in changes:
            each(config)

    return change


def train_variants(
    config: ml_collections.ConfigDict,
    variants: Mapping[str, Change],
    names: Sequence[str],
    *,
    num_steps: int,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> dict[str, restore.TrainedModel] | None:
    """Trains variants one after the other, each in a folder of `workdir`.

    A variant that is trained already is only loaded.

    Args:
      config: the recipe that the variants change.
      variants: by name, how a variant changes the config.
      names: of the variants to train, in this order; of all if it is empty.
      num_steps: of each.
      workdir: folder of the work directories.
      data_dir: folder of corpora.

    Returns:
      The trained models by name; None if a signal stopped a training, with which the same call
      goes on.

    Raises:
      InputError: there is no variant of a name, or the config does not fit.
    """
    names = names or list(variants)
    for name in names:
        if name not in variants:
            raise InputError(f"There is no variant {name!r}: use {', '.join(variants)}.")
    trained = {}
    for name in names:
        variant = copy.deepcopy(config)
        variant.num_steps = variant.checkpoint_every = num_steps
        variant.preview_every = 0.0
        variant.held_out_recordings = min(MAX_HELD_OUT_RECORDINGS, config.held_out_recordings)
        variants[name](variant)
        print(f"{name}:", file=sys.stderr)
        folder = folder_of(workdir, name)
        experiment = schema.from_config_dict(variant)
        if train(experiment, workdir=folder, data_dir=data_dir).stopped:
            return None
        trained[name] = restore.load(folder)
    return trained


def folder_of(workdir: str | os.PathLike[str], name: str) -> pathlib.Path:
    """The work directory of a variant."""
    return pathlib.Path(workdir) / "".join(c if c.isalnum() else "_" for c in name)


def score_variants(
    config: ml_collections.ConfigDict,
    variants: Mapping[str, Change],
    names: Sequence[str],
    *,
    num_steps: int,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> list[dict[str, Any]] | None:
    """Trains variants (`train_variants`), and scores each on the held-out split.

    Returns:
      For each its `name` and the figures of `evaluation.evaluate`; None if a signal stopped a
      training.
    """
    trained = train_variants(
        config, variants, names, num_steps=num_steps, workdir=workdir, data_dir=data_dir
    )
    if trained is None:
        return None
    return [
        {"name": name} | evaluate(model, model.run.load(data_dir, config.held_out_split))
        for name, model in trained.items()
    ]
