"""Phones and words in time for a recording of which only the text is known.

eSpeak NG says the text (`data.espeak.synthesis`), dynamic time warping lays what it says
along the recording (librosa), and the boundaries are carried over. Both sides are
described by 13 MFCCs, the first of which is the energy, and their deltas, each brought to
mean 0 and variance 1 over its side; frames are compared by the cosine. A first warp says
which frames belong together, a ridge regression over these turns eSpeak's voice into the
reader's, and a second warp aligns.

Pauses are the recording's: one that the reader makes between two words is put in, and
one that eSpeak makes and the reader does not is left out.

How far words' starts and ends are from where TIMIT's labellers put them, in ms, over the 109
of 120 sentences (NLTK's sample, 12 speakers) in which eSpeak NG makes as many words of the
text as they did; measured on 2026-11-21:

| | median | 90th percentile |
|---|---|---|
| as here | 19.2 | 59.3 |
| without pauses put in | 19.2 | 67.7 |
| without the regression | 21.1 | 61.9 |
| without deltas | 20.1 | 69.3 |
| frames of 10 ms | 21.7 | 60.0 |
| eSpeak NG at 175 words a minute | 20.0 | 62.2 |
| stretched linearly to the recording's length | 103.4 | 265.0 |

`PYTHONPATH=. python tests/data/test_alignment.py TIMIT` measures the first and the last.
"""

import dataclasses
import itertools
import os
from collections.abc import Sequence
from typing import Any

import librosa
import numpy as np
import soxr
import tensorflow_datasets as tfds

from data.errors import DataError
from data.text.espeak.engine import NATIVE_RATE_HZ
from data.text.espeak.synthesis import PAUSE, STRESSES, Span, Speech

FRAME_S = 0.005  # and the least of a phone
MIN_PAUSE_S = 0.08  # of one between words
MAX_S = 40.0  # of a recording: memory goes with its square, 1.7 GB for this

_RATE_HZ = 16000
_WINDOW_S = 0.02
_SILENCE_DB = 45.0  # below the loudest band: noise and eSpeak's digital zero are alike
_ENERGY_WEIGHT = 2.0
_MARGIN_S = 0.1  # of silence around both sides
_RIDGE = 100.0


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Phones and words of a recording, in its own samples.

    Phones follow one another without a gap from 0 to the last sample.
    """

    phones: tuple[Span, ...]
    words: tuple[Span, ...]


def align(
    path: os.PathLike[str] | str, speech: Speech, samples: np.ndarray, sample_rate_hz: int
) -> Alignment:
    """The phones and words of a recording.

    Args:
      path: Of the recording, for messages.
      speech: Its text as eSpeak says it.
      samples: int16 `[N]`.
      sample_rate_hz: Of the samples.

    Returns:
      The phones of `speech` with the pauses of the recording, each for `FRAME_S` (in whole
      samples) or longer, the first and the last a pause. And the words of `speech`, from their
      first phone to their last.

    Raises:
      DataError: as `check` does.
    """
    from sklearn import linear_model  # slow, and of few corpora

    check(path, speech, len(samples) / sample_rate_hz)
    hop_samples = int(FRAME_S * min(_RATE_HZ, sample_rate_hz))
    units, starts, added = _units(speech)
    said = _features(speech.samples, NATIVE_RATE_HZ, hop_samples)
    heard = _features(samples, sample_rate_hz, hop_samples)
    together = _warped(said, heard)
    voice = linear_model.Ridge(alpha=_RIDGE).fit(said[together[:, 0]], heard[together[:, 1]])
    said = voice.predict(np.insert(said, added, said[0], axis=0))
    crossings = _crossings(_warped(said, heard), starts)
    units, times_s = _without_short_pauses(units, crossings * FRAME_S - _MARGIN_S)
    edges = _tiling(times_s * sample_rate_hz, len(samples), int(FRAME_S * sample_rate_hz))
    phones = tuple(
        Span(unit.name, int(start), int(end), unit.stress)
        for unit, (start, end) in zip(units, itertools.pairwise(edges), strict=True)
    )
    pairs = [pair for pair in zip(units, phones, strict=True) if pair[0].name != PAUSE]
    begun = {unit.start: phone.start for unit, phone in pairs}
    ended = {unit.end: phone.end for unit, phone in pairs}
    words = (Span(word.name, begun[word.start], ended[word.end]) for word in speech.words)
    return Alignment(phones, tuple(words))


def check(path: os.PathLike[str] | str, speech: Speech, length_s: float) -> None:
    """Refuses a recording that cannot be aligned with a text.

    Raises:
      DataError: the text has no phones, or the recording is too short or too long for them.
    """
    num_phones = sum(phone.name != PAUSE for phone in speech.phones)
    if not num_phones:
        raise DataError(
            f"{path} has a text of which eSpeak NG says nothing: write what is read, or drop "
            "such recordings with --skip_bad"
        )
    min_s = len(_units(speech)[0]) * FRAME_S
    if length_s < min_s:
        raise DataError(
            f"{path} lasts {length_s:.3f} s, and the {num_phones} phones of its text, with pauses, "
            f"need {min_s:.3f} s: correct the text, or remove the recording"
        )
    if length_s > MAX_S:
        raise DataError(
            f"{path} lasts {length_s:.1f} s, and alignment takes up to {MAX_S:.0f} s: cut it "
            "into sentences, or remove it"
        )


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


def _units(speech: Speech) -> tuple[list[Span], list[int], list[int]]:
    """What is looked for in the recording: the phones, in pauses, and between words without
    one a pause that may be there.

    Returns:
      The units, in samples of `speech`; the frame that each begins with once the pauses that
      may be there have a frame; and the frames that those go before.
    """
    phones = [phone for phone in speech.phones if phone.name != PAUSE]
    begin_words = {word.start for word in speech.words}
    units = [Span(PAUSE, 0, phones[0].start)]
    starts: list[int] = [0]
    added: list[int] = []

    def add(unit: Span) -> None:
        units.append(unit)
        starts.append(_frame(unit.start) + len(added))

    for i, phone in enumerate(phones):
        end = phones[i - 1].end
        if i and (end < phone.start or phone.start in begin_words):
            add(Span(PAUSE, end, phone.start))
            if end == phone.start:
                added.append(_frame(end))
        add(phone)
    add(Span(PAUSE, phones[-1].end, len(speech.samples)))
    return units, starts, added


def _frame(sample: int) -> int:
    """The first whose middle is at a sample of eSpeak's, or after it."""
    return int(np.ceil((sample / NATIVE_RATE_HZ + _MARGIN_S) / FRAME_S - 1e-9))


def _features(samples: np.ndarray, rate_hz: int, hop_samples: int) -> np.ndarray:
    """Of each frame, `[F, 26]`, of samples within silence, at `hop_samples / FRAME_S` Hz."""
    padded = np.pad(samples.astype(np.float32), round(_MARGIN_S * rate_hz))
    common_hz = round(hop_samples / FRAME_S)
    bands = librosa.feature.melspectrogram(
        y=soxr.resample(padded, rate_hz, common_hz),
        sr=common_hz,
        n_fft=512,
        win_length=int(_WINDOW_S * common_hz),
        hop_length=hop_samples,
        n_mels=40,
        fmin=50.0,
    )
    decibels = librosa.power_to_db(bands, ref=np.max, top_db=_SILENCE_DB)
    cepstrum = librosa.feature.mfcc(S=decibels, n_mfcc=13)
    parts = []
    for part in (cepstrum, librosa.feature.delta(cepstrum, width=9, mode="nearest")):
        spread = part.std(axis=1, keepdims=True) + 1e-6
        parts.append((part - part.mean(axis=1, keepdims=True)) / spread)
        parts[-1][0] *= _ENERGY_WEIGHT
    return np.concatenate(parts).T


def _warped(said: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Which frames of both belong together, int `[K, 2]`, from the first to the last."""
    # A silent recording has no angle to anything, but for a constant.
    said, heard = (np.pad(side, ((0, 0), (0, 1)), constant_values=1e-3) for side in (said, heard))
    _, together = librosa.sequence.dtw(said.T, heard.T, metric="cosine")
    return together[::-1]


def _crossings(together: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """Where in frames of the recording each of `starts` is, which are frames of eSpeak's."""
    first = np.searchsorted(together[:, 0], starts)
    return (together[np.maximum(first - 1, 0), 1] + together[first, 1]) / 2


def _without_short_pauses(
    units: Sequence[Span], times_s: np.ndarray
) -> tuple[list[Span], np.ndarray]:
    """Between words, those of `MIN_PAUSE_S`; half the time of the others goes to each side."""
    times_s = times_s.copy()
    kept = [True] * len(units)
    for i in range(1, len(units) - 1):
        if units[i].name == PAUSE and times_s[i + 1] - times_s[i] < MIN_PAUSE_S:
            kept[i] = False
            times_s[i + 1] = times_s[i : i + 2].mean()
    return list(itertools.compress(units, kept)), times_s[kept]


def _tiling(starts: np.ndarray, length: int, least: int) -> np.ndarray:
    """The edges, int `[P + 1]`, of parts from 0 to `length` that begin near `starts`, `[P]`
    and the first of them ignored, each of `least` samples or more."""
    places = least * np.arange(len(starts) + 1)
    slack = np.maximum.accumulate(np.rint([0, *starts[1:], length]) - places)
    return (np.clip(slack, 0, length - places[-1]) + places).astype(np.int64)
