"""Vectors of whole sounds: what they depend on, and what not."""

import numpy as np
import pytest

from experiments.metrics import timbre

RATE_HZ = 8000


def test_statistics_do_not_depend_on_loudness() -> None:
    sound = np.random.default_rng(0).normal(0, 3000, 4000)
    quiet = np.rint(sound / 2).astype(np.int16)
    loud = np.rint(sound).astype(np.int16)
    first, second = timbre.cepstral_statistics([loud, quiet], RATE_HZ)
    np.testing.assert_allclose(first, second, atol=0.2)
    assert first.shape == (4 * timbre.NUM_CEPSTRA,)
    assert np.isfinite(timbre.cepstral_statistics([np.zeros(10, np.int16)], RATE_HZ)).all()


@pytest.mark.parametrize("midi", [60, 71, 83])
def test_a_profile_is_highest_at_the_pitch(midi: int) -> None:
    """Whatever its loudness and length, and silence has one too."""
    time_s = np.arange(4000) / RATE_HZ
    tone = 8000 * np.sin(2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * time_s)
    sounds = [tone.astype(np.int16), (tone / 4)[:3000].astype(np.int16), np.zeros(9, np.int16)]
    loud, quiet, silent = timbre.constant_q_profiles(sounds, RATE_HZ)
    expected = (midi - timbre.LOWEST_MIDI) * timbre.BINS_PER_OCTAVE // 12
    assert np.argmax(loud) == np.argmax(quiet) == expected
    assert loud.max() == 0 and loud.min() >= -timbre.RANGE_DB
    np.testing.assert_allclose(
        loud[expected - 2 : expected + 3], quiet[expected - 2 : expected + 3], atol=6
    )
    assert np.isfinite(silent).all()


def test_harmonics_have_their_levels_whatever_the_noise() -> None:
    """Within half a semitone of their places; above half the rate there are none."""
    time_s, levels_db = np.arange(8000) / RATE_HZ, (0.0, -12.0, -30.0, -6.0)
    noise = np.random.default_rng(0).normal(0, 60, 8000)  # 30 dB below
    for midi, cents in ((60, 0), (72, 40), (83, -40)):
        first_hz = 440 * 2 ** ((midi - 69 + cents / 100) / 12)
        sound = sum(
            3000 * 10 ** (level / 20) * np.sin(2 * np.pi * (k + 1) * first_hz * time_s)
            for k, level in enumerate(levels_db)
            if (k + 1) * first_hz < RATE_HZ / 2
        )
        sounds = [np.rint(each).astype(np.int16) for each in (sound, sound / 8, sound + noise)]
        clean, quiet, noisy = timbre.harmonic_profiles(sounds, RATE_HZ, [midi] * 3)
        present = [level for k, level in enumerate(levels_db) if (k + 1) * first_hz < RATE_HZ / 2]
        for found in (clean, quiet, noisy):
            np.testing.assert_allclose(found[: len(present)], present, atol=2.5)
        assert clean[len(present) :].max(initial=-timbre.RANGE_DB) < -40
    silence = timbre.harmonic_profiles([np.zeros(9, np.int16)], RATE_HZ, [60])
    assert silence.shape == (1, timbre.NUM_HARMONICS) and np.isfinite(silence).all()
