"""Whether a stored run is that of a config; and stored configs of format version 1."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.configs.schema import ExperimentConfig, flag_of
from wavenet_jax import InputError
from wavenet_jax.config import to_dict

MAX_SHOWN = 20  # of the names that differ from a corpus's

_SAME = (
    "dataset",
    "sample_rate_hz",
    "pre_emphasis",
    "noise_shaping",
    "noise_shaping_order",
    "noise_shaping_of",
    "task",
    "global_condition",
    "local_condition",
    "model",
    "encoder",
    "recognizer",
    "student",
    "training.weight_normalization",
    "training.optimizer",
    "training.seed",
    "segment_samples",
    "batch_size",
    "train_recordings",
    "pretrained",
    "augmentation",
)
"""What may not change when a run is resumed: model, audio, the order of the data, and what decides
the recipe's steps and learning rates."""

_FREE = ("recognizer.decoding",)


def check_same(stored: ExperimentConfig, config: ExperimentConfig) -> None:
    """Refuses to resume a run with another model, other audio or other data.

    Raises:
      InputError: with the flag of the first field that differs, and both values.
    """
    mine, free = dict(_flat(to_dict(config))), list(_FREE)
    for task, section in (("recognize", "recognizer"), ("distill", "student")):
        if task not in (stored.task, config.task):
            free.append(section)
    if "encoder" not in (stored.local_condition.features, config.local_condition.features):
        free.append("encoder")
    if stored.local_condition.features == config.local_condition.features == "":
        free.append("local_condition")
    if stored.global_condition.labels == config.global_condition.labels == ():
        free.append("global_condition")
    for path, before in _flat(to_dict(stored)):
        if _is_in(path, _SAME) and not _is_in(path, free) and mine[path] != before:
            raise InputError(
                f"{flag_of(path)} is {mine[path]!r}, and the run in the work directory has "
                f"{before!r}: give the same, or choose another --workdir."
            )


def difference(some: Sequence[str], others: Sequence[str]) -> tuple[list[str], list[str]]:
    """Two lists of names for a message: of long ones a few from the first that differs on."""
    if max(len(some), len(others)) <= MAX_SHOWN:
        return list(some), list(others)
    same = [a == b for a, b in zip(some, others, strict=False)]
    first = [*same, False].index(False)
    begins, last = ["..."] * (first > 0), first + 3
    here, there = (
        [*begins, *names[first:last], *["..."] * (len(names) > last)] for names in (some, others)
    )
    return here, there


def converted(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description of format version 1, as `wavenet_jax.checkpoints` converted it, with the
    parts that experiments store as they are stored today.

    `experiment` was the recipe's ConfigDict, in which absent parts were None or missing; the
    questions of HTS were the classes of a label.
    """
    old, description = description["experiment"], dict(description)
    audio = dict(description["audio"], classes=dict(description["audio"]["classes"]))
    questions = audio["classes"].pop("questions", [])
    names = {field.name for field in dataclasses.fields(ExperimentConfig)}
    config = {name: value for name, value in old.items() if name in names and value is not None}
    for section in ("global_condition", "local_condition", "augmentation", "recognizer", "prosody"):
        config[section] = dict(config[section]) if section in config else {}
    config["task"] = "recognize" if config["recognizer"] else "generate"
    _rename(config["global_condition"], "several", "multi_label")
    if "decoding" in config["recognizer"]:
        config["recognizer"]["decoding"] = dict(config["recognizer"]["decoding"])
        _rename(config["recognizer"]["decoding"], "model_weight", "lm_weight")
    config["training"] = description["training"]
    return description | {"audio": audio, "experiment": config, "questions": questions}


def _rename(fields: dict[str, Any], before: str, now: str) -> None:
    if before in fields:
        fields[now] = fields.pop(before)


def _flat(fields: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _is_in(path: str, sections: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each}.") for each in sections)
