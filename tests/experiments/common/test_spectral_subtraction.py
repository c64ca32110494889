"""Steady noise is taken from a recording, and its speech is left."""

import numpy as np
import pytest

from experiments.common.spectral_subtraction import subtract_noise

RATE_HZ = 8000


def tone_with_pauses(noise: float) -> np.ndarray:
    """Half a second of tone, half a second without, twice; int16."""
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    tone = 8000 * np.sin(2 * np.pi * 440 * time) * (time % 1 < 0.5)
    sound = tone + np.random.default_rng(0).normal(0, noise, len(time))
    return np.rint(sound).astype(np.int16)


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2)))


def test_noise_falls_and_sound_stays() -> None:
    noisy = tone_with_pauses(200.0)
    cleaned = subtract_noise(noisy, RATE_HZ, 2.0)
    assert (cleaned.dtype, cleaned.shape) == (np.int16, noisy.shape)
    pause, tone = slice(4600, 7400), slice(600, 3400)
    assert level_db(noisy[pause]) - level_db(cleaned[pause]) > 6
    assert abs(level_db(noisy[tone]) - level_db(cleaned[tone])) < 0.1
    weaker = subtract_noise(noisy, RATE_HZ, 0.5)
    assert level_db(noisy[pause]) > level_db(weaker[pause]) > level_db(cleaned[pause])


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_without_noise_nothing_changes(strength: float) -> None:
    """No strength, a sound whose pauses are silent, silence, and less than a frame."""
    sound = tone_with_pauses(0.0)
    sounds = [sound, sound[600:3400], np.zeros(3000, np.int16), sound[:100]]
    if not strength:
        sounds.append(tone_with_pauses(200.0))
    for each in sounds:
        cleaned = subtract_noise(each, RATE_HZ, strength).astype(int)
        away = np.abs(cleaned - each)
        assert np.sqrt(np.mean(away**2)) <= 0.02 * np.abs(sound).max()
