"""Phones and words in time: what a synthesiser makes, and how a corpus stores it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

PAUSE = "_"
STRESSES = ("none", "secondary", "primary")


@dataclasses.dataclass(frozen=True)
class Span:
    """A phone or a word from its first sample to the sample after its last."""

    name: str
    start: int
    end: int
    stress: str = "none"


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Phones and words of a recording, in its own samples.

    Phones tile the recording from sample 0 to its last; words leave out the pauses.
    """

    phones: tuple[Span, ...]
    words: tuple[Span, ...]


@dataclasses.dataclass(frozen=True)
class Speech(Alignment):
    """Synthesised speech with its phones and words.

    Attributes:
      samples: int16 `[N]`.
      sample_rate_hz: Of the samples.
      places: Of each word, the index of its first character in the text; none before the last.
    """

    samples: np.ndarray
    sample_rate_hz: int
    places: tuple[int, ...]


def features(phones: Sequence[str]) -> dict[str, Any]:
    """The TFDS features of `labels`, with the names of all phones."""
    positions = tfds.features.Tensor(shape=(None,), dtype=np.int64)
    return {
        "phones": tfds.features.Sequence(tfds.features.ClassLabel(names=list(phones))),
        "phone_starts": positions,
        "phone_ends": positions,
        "phone_stress": tfds.features.Sequence(tfds.features.ClassLabel(names=list(STRESSES))),
        "words": tfds.features.Sequence(tfds.features.Text()),
        "word_starts": positions,
        "word_ends": positions,
    }


def labels(aligned: Alignment) -> dict[str, Any]:
    """Phones and words as the features of a recording."""
    return {
        "phones": [phone.name for phone in aligned.phones],
        "phone_starts": np.array([phone.start for phone in aligned.phones], np.int64),
        "phone_ends": np.array([phone.end for phone in aligned.phones], np.int64),
        "phone_stress": [phone.stress for phone in aligned.phones],
        "words": [word.name for word in aligned.words],
        "word_starts": np.array([word.start for word in aligned.words], np.int64),
        "word_ends": np.array([word.end for word in aligned.words], np.int64),
    }
