"""Local features: what the frames of a local condition are computed from, by name."""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import data
from wavenet_jax import InputError


class LocalFeatures(NamedTuple):
    """What `config.local_condition.features` may name.

    Attributes:
      labels: names of the labels whose classes they need.
      make: from `config.local_condition`, the classes of those labels and the sample
        rate to (a function from recording to frames, their width).
      contexts: where frames are made of what is known of each phone before anything is
        said: from `config.local_condition` and those classes to (a function from an
        example to contexts `[P, D]`, D).
      has_pitch: whether such frames end with F0 and voicing (`data.pitch_features`).
    """

    labels: tuple[str, ...]
    make: Callable[[Mapping[str, Any], Mapping[str, Any], int], tuple[Callable, int]]
    contexts: Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Callable, int]] | None = None
    has_pitch: bool = False


def _phones(condition: Mapping[str, Any], classes: Mapping[str, Any], sample_rate_hz: int):
    """Phone, neighbours, position, pitch (`data.phone_features`)."""
    num_phones = len(classes["phones"])
    compute = functools.partial(
        data.phone_features,
        hop_samples=condition["hop_samples"],
        num_phones=num_phones,
        sample_rate_hz=sample_rate_hz,
    )
    return compute, data.num_phone_features(num_phones)


def _mel(condition: Mapping[str, Any], classes: Mapping[str, Any], sample_rate_hz: int):
    """Mel spectrogram (`data.mel_spectrogram`)."""
    config = mel_config(condition, sample_rate_hz)
    return functools.partial(data.mel_features, config=config), config.num_mels


def _linguistic(
    condition: Mapping[str, Any],
    classes: Mapping[str, Any],
    sample_rate_hz: int,
    *,
    with_pitch: bool,
):
    """Phone, syllable, word and phrase (`data.linguistic_features`)."""
    names = tuple(map(str, classes["phones"]))
    compute = functools.partial(
        data.linguistic_features,
        names=names,
        hop_samples=condition["hop_samples"],
        sample_rate_hz=sample_rate_hz,
        with_pitch=with_pitch,
    )
    return compute, data.num_linguistic_features(len(names), with_pitch=with_pitch)


def _linguistic_contexts(condition: Mapping[str, Any], classes: Mapping[str, Any]):
    """What `_linguistic` makes frames of (`data.phone_contexts`)."""
    del condition
    names = tuple(map(str, classes["phones"]))
    compute = functools.partial(data.phone_contexts, names=names)
    return compute, data.num_context_features(len(names))


def _hts(
    condition: Mapping[str, Any],
    classes: Mapping[str, Any],
    sample_rate_hz: int,
    *,
    with_pitch: bool,
):
    """Answers to questions about labels of HTS (`data.hts.linguistic_features`)."""
    questions = _questions(classes)
    compute = functools.partial(
        data.hts.linguistic_features,
        questions=questions,
        hop_samples=condition["hop_samples"],
        sample_rate_hz=sample_rate_hz,
        with_pitch=with_pitch,
    )
    return compute, data.num_context_frame_features(len(questions.names), with_pitch=with_pitch)


def _hts_contexts(condition: Mapping[str, Any], classes: Mapping[str, Any]):
    """What `_hts` makes frames of (`data.hts.phone_contexts`)."""
    del condition
    questions = _questions(classes)
    return functools.partial(data.hts.phone_contexts, questions=questions), len(questions.names)


def _questions(classes: Mapping[str, Any]) -> data.hts.Questions:
    return data.hts.Questions.parse(classes["questions"], "the corpus's question file")


LOCAL_FEATURES = types.MappingProxyType(
    {
        "phones": LocalFeatures(("phones",), _phones),
        "linguistic": LocalFeatures(
            ("phones",), functools.partial(_linguistic, with_pitch=False), _linguistic_contexts
        ),
        "linguistic_f0": LocalFeatures(
            ("phones",), functools.partial(_linguistic, with_pitch=True), _linguistic_contexts, True
        ),
        "hts": LocalFeatures(
            ("questions",), functools.partial(_hts, with_pitch=False), _hts_contexts
        ),
        "hts_f0": LocalFeatures(
            ("questions",), functools.partial(_hts, with_pitch=True), _hts_contexts, True
        ),
        "mel": LocalFeatures((), _mel),
    }
)


def mel_config(condition: Mapping[str, Any], sample_rate_hz: int) -> data.MelConfig:
    fields = [field.name for field in dataclasses.fields(data.MelConfig)]
    values = {name: condition[name] for name in fields if name in condition}
    values["sample_rate_hz"] = sample_rate_hz
    for name in fields:
        if name not in values:
            raise InputError(
                f"The config's local_condition has no {name}: the features 'mel' need "
                f"{', '.join(fields[1:])}."
            )
    return data.MelConfig(**values)
