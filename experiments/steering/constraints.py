"""Constraints on a sound, by librosa's features of it.

A constraint scores a sound: from 0 on it holds, and the higher the better. A silent sound satisfies
none. So does whatever has a `score` of its own, given to the ways of `search`.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Protocol

import librosa
import numpy as np

from wavenet_jax import InputError

SILENT_DB = -60.0
"""Level, of full scale, below which a sound is silent."""

TONICS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "_flat": -1, "_sharp": 1}
# How well each pitch class fits a key, from its tonic on (Krumhansl and Kessler, 1982).
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
KEYS = tuple((tonic, mode) for mode in PROFILES for tonic in range(12))
"""Tonic and mode of each."""

CHROMA_WINDOW_S, ONSET_WINDOW_S, LEVEL_WINDOW_S = 0.25, 0.06, 0.1
ONSET_BANDS = 32
FLOOR_DB = -80.0


class Constraint(Protocol):
    """What steers: a function of a sound."""

    def score(self, sound: np.ndarray) -> float:
        """Of int16 samples `[N]`: at least 0 where the constraint holds."""


@dataclasses.dataclass(frozen=True)
class Key:
    """The sound is in a key: its chroma correlates better with that key's profile than with those
    of the 23 others (Krumhansl, 1990). The score is by how much.

    Attributes:
      tonic: pitch class, 0 for C.
      mode: major or minor.
      sample_rate_hz: of the sound.
    """

    tonic: int
    mode: str
    sample_rate_hz: int

    def score(self, sound: np.ndarray) -> float:
        if is_silent(sound):
            return -math.inf
        correlations = key_correlations(sound, self.sample_rate_hz)
        own = correlations.pop((self.tonic, self.mode))
        return own - max(correlations.values())


@dataclasses.dataclass(frozen=True)
class OnsetRate:
    """Notes begin so many times a second, a measure of tempo. The score is the distance to the
    nearer end of the range.

    Attributes:
      lowest, highest: onsets a second.
      sample_rate_hz: of the sound.
    """

    lowest: float
    highest: float
    sample_rate_hz: int

    def score(self, sound: np.ndarray) -> float:
        if is_silent(sound):
            return -math.inf
        rate = onset_rate(sound, self.sample_rate_hz)
        return min(rate - self.lowest, self.highest - rate)


@dataclasses.dataclass(frozen=True)
class Loudness:
    """The sound's level follows a contour, whatever its mean. The score is the tolerance less the
    mean absolute deviation, in dB; that of a shorter sound is of the contour's beginning.

    Attributes:
      levels_db: of the contour, at equal distances from the beginning to the end.
      num_samples: N, over which the contour extends.
      tolerance_db: of the mean absolute deviation.
      sample_rate_hz: of the sound.
    """

    levels_db: tuple[float, ...]
    num_samples: int
    tolerance_db: float
    sample_rate_hz: int

    def score(self, sound: np.ndarray) -> float:
        if is_silent(sound):
            return -math.inf
        found_db, middles = levels(sound, self.sample_rate_hz)
        deviation = found_db - found_db.mean() - self.contour_db(middles)
        return self.tolerance_db - float(np.abs(deviation).mean())

    def contour_db(self, samples: np.ndarray) -> np.ndarray:
        """The contour at samples `[F]`, less its mean there: `[F]`."""
        places = np.linspace(0, self.num_samples, len(self.levels_db))
        wanted_db = np.interp(samples, places, self.levels_db)
        return wanted_db - wanted_db.mean()


def is_silent(sound: np.ndarray) -> bool:
    """Whether a sound, int16 `[N]`, is below `SILENT_DB`."""
    rms = np.sqrt(np.mean((sound / 32768.0) ** 2))
    return bool(rms < 10 ** (SILENT_DB / 20))


def key_correlations(sound: np.ndarray, sample_rate_hz: int) -> dict[tuple[int, str], float]:
    """Correlations of a sound's chroma, int16 `[N]`, with the profiles of the 24 keys."""
    window = chroma_window(sample_rate_hz)
    chroma = librosa.feature.chroma_stft(
        y=_at_least(sound, window),
        sr=sample_rate_hz,
        n_fft=window,
        hop_length=window // 4,
        norm=None,
        tuning=0.0,
    ).sum(axis=1)
    if np.ptp(chroma) == 0:
        return dict.fromkeys(KEYS, 0.0)
    return {key: float(np.corrcoef(chroma, profile(*key))[0, 1]) for key in KEYS}


def profile(tonic: int, mode: str) -> np.ndarray:
    """How well each pitch class fits a key, from C on: `[12]`."""
    return np.roll(PROFILES[mode], tonic)


def onset_rate(sound: np.ndarray, sample_rate_hz: int) -> float:
    """Onsets a second of a sound, int16 `[N]`."""
    window = _power_of_two(ONSET_WINDOW_S * sample_rate_hz)
    strength = librosa.onset.onset_strength(
        y=_at_least(sound, window),
        sr=sample_rate_hz,
        n_fft=window,
        hop_length=window // 4,
        n_mels=ONSET_BANDS,
    )
    onsets = librosa.onset.onset_detect(
        onset_envelope=strength, sr=sample_rate_hz, hop_length=window // 4
    )
    return len(onsets) * sample_rate_hz / len(sound)


def levels(sound: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels of a sound, int16 `[N]`, in windows that overlap by half, in dB of full scale, and the
    sample in the middle of each."""
    window = level_window(sample_rate_hz)
    padded = _at_least(sound, window)
    rms = librosa.feature.rms(
        y=padded, frame_length=window, hop_length=window // 2, center=False
    ).ravel()
    floor = 10 ** (FLOOR_DB / 20)
    middles = window // 2 * (1 + np.arange(len(rms)))
    return 20 * np.log10(np.maximum(rms, floor)), middles


def level_window(sample_rate_hz: int) -> int:
    """Samples, an even number, of which a level is."""
    return 2 * max(1, round(LEVEL_WINDOW_S * sample_rate_hz / 2))


def chroma_window(sample_rate_hz: int) -> int:
    """Samples of which a chroma is."""
    return _power_of_two(CHROMA_WINDOW_S * sample_rate_hz)


def _at_least(sound: np.ndarray, length: int) -> np.ndarray:
    """In [-1, 1), with zeros up to a length, float32."""
    samples = sound.astype(np.float32) / 32768
    return np.pad(samples, (0, max(0, length - len(samples))))


def _power_of_two(length: float) -> int:
    return 2 ** round(math.log2(length))


# -- constraints as the flags name them -------------------------------------------------


def _key(text: str, sample_rate_hz: int, num_samples: int) -> Key | None:
    del num_samples
    found = re.fullmatch(r"([A-G])(_flat|_sharp)?_(major|minor)", text)
    if found is None:
        return None
    letter, accidental, mode = found.groups()
    return Key((TONICS[letter] + ACCIDENTALS[accidental or ""]) % 12, mode, sample_rate_hz)


def _onsets(text: str, sample_rate_hz: int, num_samples: int) -> OnsetRate | None:
    del num_samples
    numbers = _numbers(text, "-")
    if numbers is None or len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1]:
        return None
    return OnsetRate(numbers[0], numbers[1], sample_rate_hz)


def _loudness(text: str, sample_rate_hz: int, num_samples: int) -> Loudness | None:
    contour, _, tolerance = text.partition("+-")
    levels_db, (tolerance_db, *others) = _numbers(contour, ","), _numbers(tolerance, ",") or (0, 0)
    if levels_db is None or len(levels_db) < 2 or others or not tolerance_db > 0:
        return None
    return Loudness(levels_db, num_samples, tolerance_db, sample_rate_hz)


def _numbers(text: str, separator: str) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(part) for part in text.split(separator))
    except ValueError:
        return None
    return numbers if np.all(np.isfinite(numbers)) else None


@dataclasses.dataclass(frozen=True)
class _Kind:
    read: Callable[[str, int, int], Constraint | None]
    form: str


KINDS = {
    "key": _Kind(_key, "a tonic and a mode, as in key:D_minor or key:B_flat_major"),
    "onsets": _Kind(_onsets, "the fewest and the most a second, as in onsets:3-5"),
    "loudness": _Kind(_loudness, "levels in dB and a tolerance, as in loudness:0,12,0+-3"),
}
"""By the name before the colon."""


def named(text: str, *, sample_rate_hz: int, num_samples: int) -> Constraint:
    """The constraint that a flag describes.

    Args:
      text: KIND:WHAT, of `KINDS`.
      sample_rate_hz: of the sounds.
      num_samples: of each sound.

    Raises:
      InputError: there is none of that kind, or it is not described so.
    """
    name, _, what = text.partition(":")
    if name not in KINDS:
        raise InputError(f"--constraint is {text!r}: begin it with one of {', '.join(KINDS)}.")
    constraint = KINDS[name].read(what, sample_rate_hz, num_samples)
    if constraint is None:
        raise InputError(f"--constraint is {text!r}: give {KINDS[name].form}.")
    return constraint
