"""Phones in time for recordings whose text alone is known.

eSpeak NG says the text, and the recording is warped onto what it says by dynamic time warping
of cepstra (as in Malfrere and Dutoit, 1997, "High-quality speech synthesis for phonetic speech
segmentation"): what eSpeak knows of its own phones and words then holds for the recording.

Of 40 sentences of TIMIT the words' starts and ends are 23 ms from where they were set by hand
in the median, and 87 ms or less in nine of ten; by stretching evenly it would be 113 and 337 ms
(2026-11-21; `tests/data/test_alignment.py` measures it).
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import librosa
import numpy as np
import soxr
import tensorflow_datasets as tfds

from data.espeak.synthesis import NATIVE_RATE_HZ, STRESSES, Span, Speech

RATE_HZ = 16000
FRAME_S = 0.005
WINDOW_S = 0.025
NUM_CEPSTRA = 13
NUM_MELS = 40
FLOOR_DB = 45.0
LOUDNESS_WEIGHT = 2.0
SHORTEST_S = 0.005


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Phones and words of a recording, in its own samples.

    Phones follow one another without a gap from 0 to the last sample.
    """

    phones: tuple[Span, ...]
    words: tuple[Span, ...]


def align(speech: Speech, samples: np.ndarray, sample_rate_hz: int) -> Alignment | None:
    """Carries phones and words over from synthetic speech.

    Args:
      speech: Of the recording's text.
      samples: Int16 `[N]`, the recording.
      sample_rate_hz: Its rate.

    Returns:
      The same phones and words; None if the recording is too short for so many phones, of
      which each lasts 5 ms at least, or nothing is said.
    """
    shortest = int(np.ceil(SHORTEST_S * sample_rate_hz))
    if not speech.words or len(samples) < shortest * len(speech.phones):
        return None
    said = _cepstra(speech.samples, NATIVE_RATE_HZ)
    heard = _cepstra(samples, sample_rate_hz)
    _, path = librosa.sequence.dtw(said, heard)
    # An edge between two frames that are said lies between the last frame that the one is heard
    # in and the first that the other is.
    path = path[::-1]
    edges_s = np.array([phone.start for phone in speech.phones[1:]]) / NATIVE_RATE_HZ
    frames = np.clip(np.rint(edges_s / FRAME_S).astype(int), 1, said.shape[1] - 1)
    lasts = path[np.searchsorted(path[:, 0], frames, side="left") - 1, 1]
    firsts = path[np.searchsorted(path[:, 0], frames, side="left"), 1]
    heard_s = (lasts + firsts) / 2 * FRAME_S
    edges = _spread(np.rint(heard_s * sample_rate_hz).astype(int), len(samples), shortest)
    phones = tuple(
        dataclasses.replace(phone, start=int(start), end=int(end))
        for phone, (start, end) in zip(speech.phones, itertools.pairwise(edges), strict=True)
    )
    moved = {old.start: new.start for old, new in zip(speech.phones, phones, strict=True)}
    ended = {old.end: new.end for old, new in zip(speech.phones, phones, strict=True)}
    words = tuple(
        dataclasses.replace(word, start=moved[word.start], end=ended[word.end])
        for word in speech.words
    )
    return Alignment(phones, words)


def fits(speech: Speech, length_s: float) -> bool:
    """Whether a recording of so many seconds can be of what is said."""
    return bool(speech.words) and length_s >= (SHORTEST_S + 1e-3) * len(speech.phones)


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


def _cepstra(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Float `[13, frames]`: mel cepstra and, in place of the first, the loudness, each with
    zero mean and unit deviation over the recording, so that voice and microphone matter less."""
    sound = soxr.resample(samples.astype(np.float32), sample_rate_hz, RATE_HZ)
    sound = sound / max(1.0, float(np.abs(sound).max(initial=0)))
    window, hop = int(WINDOW_S * RATE_HZ), int(FRAME_S * RATE_HZ)
    sound = np.pad(sound, (0, max(0, window - len(sound))))
    power = librosa.feature.melspectrogram(
        y=sound, sr=RATE_HZ, n_fft=512, win_length=window, hop_length=hop, n_mels=NUM_MELS
    )
    level_db = librosa.power_to_db(power, ref=np.max, top_db=FLOOR_DB)
    cepstra = librosa.feature.mfcc(S=level_db, n_mfcc=NUM_CEPSTRA)
    deviation = np.maximum(cepstra.std(axis=1, keepdims=True), 1e-6)
    normal: np.ndarray = (cepstra - cepstra.mean(axis=1, keepdims=True)) / deviation
    normal[0] *= LOUDNESS_WEIGHT
    return normal


def _spread(inner: Sequence[int] | np.ndarray, length: int, shortest: int) -> np.ndarray:
    """Edges from 0 to `length` near the inner ones, each at least `shortest` after the last."""
    number = len(inner) + 1
    steps = shortest * np.arange(1, number)
    rising = np.maximum.accumulate(np.maximum(np.asarray(inner) - steps, 0))
    fitting = np.minimum(rising, length - shortest * number)
    return np.concatenate([[0], fitting + steps, [length]])
