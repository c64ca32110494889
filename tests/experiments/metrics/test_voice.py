"""Noise of a voice, against voices and noises whose figures are known."""

import numpy as np
import pytest

from experiments.metrics import voice
from experiments.metrics.perceptual import UndefinedError

RATE_HZ = 8000


def vowel(seconds: float = 1.0, f0_hz: float = 120.0) -> np.ndarray:
    """Harmonics that fall by 12 dB an octave, and nothing between them."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    harmonics = range(1, int(RATE_HZ / 2 / f0_hz))
    return 0.1 * sum(np.sin(2 * np.pi * k * f0_hz * time_s) / k**2 for k in harmonics)


def with_noise(sound: np.ndarray, snr_db: float) -> np.ndarray:
    deviation = np.sqrt(np.mean(sound**2)) * 10 ** (-snr_db / 20)
    return sound + np.random.default_rng(0).normal(0, deviation, len(sound))


@pytest.mark.parametrize("snr_db", [5.0, 10.0, 20.0])
def test_the_harmonics_to_noise_ratio_is_that_of_the_mixture(snr_db: float) -> None:
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    noisy = with_noise(vowel(), snr_db)
    found = voice.harmonics_to_noise_db(noisy, RATE_HZ, reference=vowel())
    assert found.mean() == pytest.approx(snr_db, abs=1.5)
    louder = voice.harmonics_to_noise_db(0.5 * noisy, RATE_HZ, reference=vowel())
    assert louder.mean() == pytest.approx(found.mean(), abs=0.01)


def test_frames_are_those_voiced_in_the_reference() -> None:
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    half = np.concatenate([vowel(0.5), np.zeros(RATE_HZ // 2)])
    ratios = voice.harmonics_to_noise_db(vowel(), RATE_HZ, reference=half)
    assert 80 <= len(ratios) <= 110
    assert len(voice.harmonics_to_noise_db(vowel(), RATE_HZ)) > 180
    # Noise has voiced frames by chance alone; as a copy of a vowel all of it counts.
    noise = 0.1 * np.random.default_rng(0).normal(size=RATE_HZ).clip(-5, 5)
    assert voice.harmonics_to_noise_db(noise, RATE_HZ, reference=vowel()).mean() < 0


def test_the_noise_level_rises_with_noise() -> None:
    levels = [voice.noise_level_db(vowel(), RATE_HZ).mean()]
    levels += [voice.noise_level_db(with_noise(vowel(), db), RATE_HZ).mean() for db in (40, 20, 0)]
    assert levels == sorted(levels)
    assert levels[1] - levels[0] > 3
    assert levels[-1] == pytest.approx(voice.LINE_DB, abs=0.5)
    quieter = voice.noise_level_db(0.01 * vowel(), RATE_HZ).mean()
    assert quieter == pytest.approx(levels[0], abs=0.01)


def test_the_noise_level_of_frames_by_hand() -> None:
    """A sine's main lobe is above the line; all else of it is at the floor, pauses do not count."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    sine = np.sin(2 * np.pi * 1000 * time_s) * (time_s < 0.5)
    window = round(voice.WINDOW_S * RATE_HZ)
    found = voice.noise_level_db(sine, RATE_HZ)
    assert 96 <= len(found) <= 101
    powers = np.abs(np.fft.rfft(sine[:window] * np.hanning(window))) ** 2
    levels = [min(-40.0, max(-100.0, 10 * np.log10(p / powers.max()))) for p in powers]
    assert found[0] == pytest.approx(np.mean(levels))


def test_without_voice_or_sound() -> None:
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    for nothing in (np.zeros(RATE_HZ, np.int16), np.ones(2)):
        with pytest.raises(UndefinedError, match="no frame is voiced"):
            voice.harmonics_to_noise_db(nothing, RATE_HZ)
    with pytest.raises(UndefinedError, match="the sound is silent"):
        voice.noise_level_db(np.zeros(RATE_HZ, np.int16), RATE_HZ)
    with pytest.raises(UndefinedError, match="shorter than 32 ms"):
        voice.noise_level_db(np.ones(255), RATE_HZ)
