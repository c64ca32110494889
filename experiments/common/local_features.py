"""Local features: what the frames of a local condition are computed from, by name."""

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import data
from experiments.configs import schema
from experiments.configs.schema import LocalCondition
from wavenet_jax import InputError

FrameFunction = Callable[[Mapping[str, Any]], np.ndarray]
"""From a recording to its frames `[F, D]`, or from an example to its phones' contexts `[P, D]`."""


NamedFrames = tuple[FrameFunction, tuple[str, ...]]
"""Such a function, and the names of the D columns."""


class Symbols(NamedTuple):
    """What the labels in time of a corpus are made of.

    Attributes:
      phones: names of the phones; () where the features need none.
      questions: lines of the HTS question file; () where the features need none.
    """

    phones: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


class LocalFeatures(NamedTuple):
    """One kind of local features.

    Attributes:
      make: from the config's section, the symbols and the sample rate to a function from
        recording to frames, and the names of their columns; None for those that the model's own
        encoder makes (`wavenet_jax.autoencoder`).
      needs: the field of `Symbols` that they need, if any.
      contexts: for features made of the context of each phone, from the symbols to a
        function from an example to contexts, and the names of their columns.
      has_pitch: whether the frames end with F0 and voicing (`data.pitch_features`).
    """

    make: Callable[[LocalCondition, Symbols, int], NamedFrames] | None
    needs: str | None = None
    contexts: Callable[[Symbols], NamedFrames] | None = None
    has_pitch: bool = False


def _phones(condition: LocalCondition, symbols: Symbols, sample_rate_hz: int) -> NamedFrames:
    """Phone, neighbours, position and pitch (`data.phone_features`)."""
    compute = functools.partial(
        data.phone_features,
        hop_samples=condition.hop_samples,
        num_phones=len(symbols.phones),
        sample_rate_hz=sample_rate_hz,
    )
    return compute, data.phone_feature_names(symbols.phones)


def _mel(condition: LocalCondition, symbols: Symbols, sample_rate_hz: int) -> NamedFrames:
    """Mel spectrogram (`data.mel_spectrogram`)."""
    del symbols
    config = mel_config(condition, sample_rate_hz)
    return data.MelFeatures(config), config.band_names


def _linguistic(
    condition: LocalCondition, symbols: Symbols, sample_rate_hz: int, *, with_pitch: bool
) -> NamedFrames:
    """Phone, syllable, word and phrase (`data.linguistic_features`)."""
    compute = functools.partial(
        data.linguistic_features,
        names=symbols.phones,
        hop_samples=condition.hop_samples,
        sample_rate_hz=sample_rate_hz,
        with_pitch=with_pitch,
    )
    contexts = data.context_names(symbols.phones)
    return compute, data.context_frame_names(contexts, with_pitch=with_pitch)


def _linguistic_contexts(symbols: Symbols) -> NamedFrames:
    """The contexts that `_linguistic` makes frames of (`data.phone_contexts`)."""
    compute = functools.partial(data.phone_contexts, names=symbols.phones)
    return compute, data.context_names(symbols.phones)


def _hts(
    condition: LocalCondition, symbols: Symbols, sample_rate_hz: int, *, with_pitch: bool
) -> NamedFrames:
    """Answers to questions about HTS labels (`data.hts.linguistic_features`)."""
    questions = _questions(symbols)
    compute = functools.partial(
        data.hts.linguistic_features,
        questions=questions,
        hop_samples=condition.hop_samples,
        sample_rate_hz=sample_rate_hz,
        with_pitch=with_pitch,
    )
    return compute, data.context_frame_names(questions.names, with_pitch=with_pitch)


def _hts_contexts(symbols: Symbols) -> NamedFrames:
    """The contexts that `_hts` makes frames of (`data.hts.phone_contexts`)."""
    questions = _questions(symbols)
    return functools.partial(data.hts.phone_contexts, questions=questions), questions.names


def _questions(symbols: Symbols) -> data.hts.Questions:
    return data.hts.Questions.parse(symbols.questions, "the corpus's question file")


def _with_contexts(make: Any, needs: str, contexts: Any, has_pitch: bool) -> LocalFeatures:
    return LocalFeatures(functools.partial(make, with_pitch=has_pitch), needs, contexts, has_pitch)


LOCAL_FEATURES = types.MappingProxyType(
    {
        "phones": LocalFeatures(_phones, "phones", has_pitch=True),
        "linguistic": _with_contexts(_linguistic, "phones", _linguistic_contexts, False),
        "linguistic_f0": _with_contexts(_linguistic, "phones", _linguistic_contexts, True),
        "hts": _with_contexts(_hts, "questions", _hts_contexts, False),
        "hts_f0": _with_contexts(_hts, "questions", _hts_contexts, True),
        "mel": LocalFeatures(_mel),
        "encoder": LocalFeatures(None),
    }
)
"""By the name in `config.local_condition.features`."""


def local_features_of(condition: LocalCondition) -> LocalFeatures | None:
    """The features that a config names, None for no local condition.

    Raises:
      InputError: there are no features of that name.
    """
    if not condition.features:
        return None
    if condition.features not in LOCAL_FEATURES:
        raise InputError(
            f"--config.local_condition.features is {condition.features!r}: use one of "
            f"{', '.join(LOCAL_FEATURES)}, or '' for none."
        )
    return LOCAL_FEATURES[condition.features]


def mel_config(condition: LocalCondition, sample_rate_hz: int) -> data.MelConfig:
    """The mel spectrogram that a config asks for.

    Raises:
      InputError, data.DataError: a field is missing or invalid.
    """
    for name in ("n_fft", "num_mels", "fmin_hz", "fmax_hz"):
        if getattr(condition, name) is None:
            raise InputError(
                f"--config.local_condition.{name} is None: give a number, for the features 'mel'."
            )
    return schema.build(data.MelConfig, condition, "local_condition", sample_rate_hz=sample_rate_hz)
