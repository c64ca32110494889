"""Local features from labels in time, a vector for each frame of `hop_samples` samples.

Sample n belongs to frame n // hop_samples; a frame's features are those at its middle sample.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.audio.pitch import MAX_F0_HZ, MIN_F0_HZ, f0_at

F0_CENTRE_HZ = 150.0
PLACE_NAMES = ("start of the phone", "middle of the phone", "end of the phone", "duration")
"""Columns of `phone_places`."""

# Peaks of the hats of `pitch_features`: every two semitones, over the range of `audio.pitch`.
PITCH_STEP = np.log(2) / 6
PITCH_PEAKS = np.arange(
    np.log(MIN_F0_HZ / F0_CENTRE_HZ), np.log(MAX_F0_HZ / F0_CENTRE_HZ) + PITCH_STEP, PITCH_STEP
)
PITCH_NAMES = (*(f"F0 {F0_CENTRE_HZ * np.exp(peak):.0f} Hz" for peak in PITCH_PEAKS), "voiced")
"""Columns of `pitch_features`."""

NUM_PITCH = len(PITCH_NAMES)

NEIGHBOURS = (0, -1, 1)
"""The phones that `phone_features` tells of: each frame's, the one before, the one after."""


def phone_feature_names(phones: Sequence[str]) -> tuple[str, ...]:
    """The columns of `phone_features`, of phones with these names."""
    return (*neighbour_names(phones, NEIGHBOURS), *PLACE_NAMES, *PITCH_NAMES)


def neighbour_names(phones: Sequence[str], neighbours: Sequence[int]) -> list[str]:
    """The columns of one-hot vectors of a phone's neighbours, such as "phone +1: a"."""
    places = ["phone" if shift == 0 else f"phone {shift:+}" for shift in neighbours]
    return [f"{place}: {name}" for place in places for name in phones]


def frame_labels(example: Mapping[str, Any], *, hop_samples: int) -> np.ndarray:
    """The phone at each frame.

    Args:
      example: A recording with `audio` `[N]`, `phones` `[P]`, `phone_starts` `[P]`.
      hop_samples: Samples a frame.

    Returns:
      Class of the phone, int32 `[F]`, F = ceil(N / hop_samples).
    """
    return np.asarray(example["phones"], np.int32)[
        _phone_at(example, frame_middles(example, hop_samples))
    ]


def phone_features(
    example: Mapping[str, Any], *, hop_samples: int, num_phones: int, sample_rate_hz: int
) -> np.ndarray:
    """The phone of each frame, its neighbours, the position in it, and the pitch.

    Args:
      example: A recording of the `espeak` corpus: `audio` `[N]`, `phones`,
        `phone_starts` and `phone_ends` `[P]`, `f0_hz` one value each 5 ms.
      hop_samples: Samples a frame.
      num_phones: Classes of phones in the corpus.
      sample_rate_hz: Rate of `audio`.

    Returns:
      Float32 `[F, D]`, F = ceil(N / hop_samples), D columns, `phone_feature_names`: one-hot
      of the phone, of the one before and of the one after (all zero beyond the
      ends); three hats that peak at the phone's start, middle and end; its
      duration in units of 100 ms; `pitch_features`.
    """
    at, places = phone_places(example, hop_samples, sample_rate_hz)
    phones = np.pad(np.asarray(example["phones"]), 1, constant_values=num_phones)
    one_hot = np.eye(num_phones + 1, num_phones, dtype=np.float32)
    neighbours = [one_hot[phones[1 + at + shift]] for shift in NEIGHBOURS]
    pitch = pitch_features(log_f0(example, hop_samples, sample_rate_hz))
    return np.concatenate([*neighbours, places, pitch], axis=1)


def phone_places(
    example: Mapping[str, Any], hop_samples: int, sample_rate_hz: int
) -> tuple[np.ndarray, np.ndarray]:
    """Index of the phone of each frame, int `[F]`, and the position in it, float32 `[F, 4]`:
    three hats that peak at its start, middle and end, and its duration in units of 100 ms."""
    middles = frame_middles(example, hop_samples)
    at = _phone_at(example, middles)
    starts, ends = np.asarray(example["phone_starts"]), np.asarray(example["phone_ends"])
    duration = (ends - starts)[at]
    position = (middles - starts[at]) / duration
    columns = [
        np.maximum(0, 1 - 2 * position),
        1 - np.abs(2 * position - 1),
        np.maximum(0, 2 * position - 1),
        duration / (0.1 * sample_rate_hz),
    ]
    return at, np.stack(columns, axis=1).astype(np.float32)


def log_f0(example: Mapping[str, Any], hop_samples: int, sample_rate_hz: int) -> np.ndarray:
    """Float32 `[F, 2]`: ln(F0 / 150 Hz), 0 where unvoiced; 1 where voiced."""
    middles = frame_middles(example, hop_samples)
    f0_hz = f0_at(np.asarray(example["f0_hz"]), middles, sample_rate_hz)
    voiced = f0_hz > 0
    height = np.log(np.where(voiced, f0_hz, F0_CENTRE_HZ) / F0_CENTRE_HZ)
    return np.stack([height, voiced], axis=1).astype(np.float32)


def pitch_features(pitch: np.ndarray) -> np.ndarray:
    """ln F0 as hats, a column for every two semitones.

    Given as a single number among hundreds of columns, a model learns little of the pitch
    (docs/benchmarks.md).

    Args:
      pitch: ln(F0 / 150 Hz) and voicing `[F, 2]`, of `log_f0`.

    Returns:
      Float32 `[F, NUM_PITCH]`: hats that peak every two semitones from 60 Hz, of which the
      two around the pitch sum to 1, all 0 where unvoiced; and 1 where voiced.
    """
    height, voiced = pitch[:, :1], pitch[:, 1:]
    height = np.clip(height, PITCH_PEAKS[0], PITCH_PEAKS[-1])
    hats = np.maximum(0, 1 - np.abs(height - PITCH_PEAKS) / PITCH_STEP)
    return np.concatenate([hats * voiced, voiced], axis=1).astype(np.float32)


def frame_middles(example: Mapping[str, Any], hop_samples: int) -> np.ndarray:
    """The sample in the middle of each frame, `[F]`, within the `audio` `[N]` of the recording."""
    length = len(example["audio"])
    return np.minimum(np.arange(0, length, hop_samples) + hop_samples // 2, length - 1)


def _phone_at(example: Mapping[str, Any], samples: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.asarray(example["phone_starts"]), samples, side="right") - 1
