"""Noise between harmonics falls, and what has no pitch stays."""

import sys

import numpy as np
import pytest

from data import DataError
from experiments.common.comb_filter import comb_filter

pytest.importorskip("parselmouth", reason="Praat is in the extra demo")

RATE_HZ = 8000
INSIDE = slice(800, -800)
"""Further from the ends than Praat's window and a period."""


def vowel(f0_hz: float = 110.0, glide: float = 0.0) -> np.ndarray:
    """A second of pulses through two resonances, whose pitch rises by `glide` of itself; floats."""
    time = np.arange(RATE_HZ) / RATE_HZ
    phase = f0_hz * (time + glide * time**2 / 2)
    harmonics = np.arange(1, 24)[:, None]
    levels = sum(1 / (1 + ((harmonics * f0_hz - peak) / 120) ** 2) for peak in (600, 1400))
    return 4000 * np.sum(levels * np.cos(2 * np.pi * harmonics * phase), axis=0)


def noise(level: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, RATE_HZ)


def as_int16(sound: np.ndarray) -> np.ndarray:
    return np.rint(sound).astype(np.int16)


def rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(sound[INSIDE], float) ** 2)))


@pytest.mark.parametrize("glide", [0.0, 0.3])
def test_noise_falls_and_harmonics_stay(glide: float) -> None:
    clean = vowel(glide=glide)
    noisy = as_int16(clean + noise(300))
    half, full = (comb_filter(noisy, RATE_HZ, strength) for strength in (0.5, 1.0))
    assert (full.dtype, full.shape) == (np.int16, noisy.shape)
    left = rms(full - clean) / rms(noisy - clean)
    assert 10 ** (-4.3 / 20) - 0.02 < left < 0.65
    assert left < rms(half - clean) / rms(noisy - clean) < 0.9
    alone = as_int16(clean)
    assert rms(comb_filter(alone, RATE_HZ, 1.0) - alone.astype(float)) < 0.005 * rms(alone)


def test_what_has_no_pitch_stays() -> None:
    """White noise, silence, a sound of a few samples, and a vowel with no strength."""
    sounds = (as_int16(noise(1000)), np.zeros(3000, np.int16), np.ones(3, np.int16))
    for sound in sounds:
        np.testing.assert_array_equal(comb_filter(sound, RATE_HZ, 1.0), sound)
    sound = as_int16(vowel() + noise(300))
    np.testing.assert_array_equal(comb_filter(sound, RATE_HZ, 0.0), sound)


def test_unvoiced_parts_stay_beside_voiced_ones() -> None:
    sound = as_int16(np.concatenate([noise(1000), vowel() + noise(300)]))
    filtered = comb_filter(sound, RATE_HZ, 1.0)
    before = slice(0, RATE_HZ - 800)
    np.testing.assert_array_equal(filtered[before], sound[before])
    assert not np.array_equal(filtered, sound)


def test_full_scale_is_kept() -> None:
    """Neighbours in phase with a sample may not pass int16."""
    sound = as_int16(np.clip(20 * vowel(), -32768, 32767))
    filtered = comb_filter(sound, RATE_HZ, 1.0).astype(int)
    assert np.all(np.abs(filtered - sound)[INSIDE] < 20000)


def test_without_praat(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "parselmouth", None)
    with pytest.raises(DataError, match="praat-parselmouth, which tracks the pitch"):
        comb_filter(np.zeros(1, np.int16), RATE_HZ, 1.0)
