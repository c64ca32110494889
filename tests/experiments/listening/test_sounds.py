"""Sounds of listening tests: filters, noise, loudness."""

import numpy as np
import pyloudnorm
import pytest

from data.audio import reading
from experiments.listening import sounds
from wavenet_jax import InputError


def level_db(samples: np.ndarray, rate_hz: int, at_hz: float) -> float:
    """The response to an impulse at a frequency."""
    angle = -2j * np.pi * at_hz / rate_hz
    return float(20 * np.log10(abs(np.sum(samples * np.exp(angle * np.arange(len(samples)))))))


@pytest.mark.parametrize(("rate_hz", "pass_hz"), [(16000, 3500), (16000, 7000), (48000, 3500)])
def test_anchors_keep_what_bs_1534_asks_for(rate_hz: int, pass_hz: int) -> None:
    """Within 0.1 dB up to 3.5 kHz, 25 dB less at 4 kHz, 50 dB at 4.5 kHz; in time."""
    impulse = np.zeros(4001)
    impulse[2000] = 1
    response = sounds.low_passed(impulse, rate_hz, pass_hz)
    for at_hz in np.linspace(50, pass_hz, 60):
        assert abs(level_db(response, rate_hz, at_hz)) < 0.1
    for at_hz in np.linspace(pass_hz + 500, rate_hz / 2, 60):
        assert level_db(response, rate_hz, at_hz) < -50
    assert np.argmax(response) == 2000 and np.allclose(response, response[::-1], atol=1e-12)


def test_no_anchor_where_there_is_nothing_above() -> None:
    with pytest.raises(InputError, match="At 8000 Hz there is no 7000 Hz anchor"):
        sounds.low_passed(np.zeros(9), 8000, 7000)


@pytest.mark.parametrize("q_db", [5.0, 20.0])
def test_noise_follows_the_sound(q_db: float) -> None:
    random = np.random.default_rng(0)
    sound = random.normal(size=200_000)
    sound[50_000:] = 0
    noise = sounds.modulated_noise(sound, random, q_db) - sound
    assert np.all(noise[50_000:] == 0)
    ratio_db = 10 * np.log10((sound**2).mean() / (noise**2).mean())
    assert ratio_db == pytest.approx(q_db, abs=0.2)


def test_one_loudness_without_clipping() -> None:
    """A click does not reach the loudness of the others, so all are as loud as it can be."""
    rate_hz = 16000
    time_s = np.arange(rate_hz) / rate_hz
    tone = np.sin(2 * np.pi * 440 * time_s)
    clicks = 0.02 * tone
    clicks[::4000] = 0.9
    for made, asked in (([0.1 * tone, 0.9 * tone], -23.0), ([0.1 * tone, clicks], -23.0)):
        levelled, level = sounds.of_one_loudness(made, ["a", "b"], rate_hz, asked)
        pause = round(sounds.PAUSE_S * rate_hz)
        for sound in levelled:
            assert sound.dtype == np.int16 and not sound[:pause].any() and not sound[-pause:].any()
            assert not reading.is_clipped(sound) and len(sound) == rate_hz + 2 * pause
            measured = pyloudnorm.Meter(rate_hz).integrated_loudness(sound[pause:-pause] / 32768)
            assert measured == pytest.approx(level, abs=0.05)
    assert level < -23


def test_what_has_no_loudness_is_named() -> None:
    with pytest.raises(InputError, match=r"x of ours has 0.10 s of sound once trimmed"):
        sounds.of_one_loudness([np.ones(1600)], ["x of ours"], 16000, -23.0)
