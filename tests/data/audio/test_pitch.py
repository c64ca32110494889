import sys

import numpy as np
import pytest

import data
from data.audio import pitch


@pytest.mark.parametrize("rate_hz", [8000, 22050])
@pytest.mark.parametrize("hz", [70.0, 123.4, 250.0, 330.0])
def test_pitch_of_a_pulse_train(hz: float, rate_hz: int) -> None:
    phase = np.arange(rate_hz) * hz / rate_hz
    voice = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 10))
    measured = pitch.f0(np.asarray(voice), rate_hz)
    assert measured.shape == (200,) and measured.dtype == np.float32
    np.testing.assert_allclose(measured[4:-4], hz, rtol=0.01)


def test_each_value_is_of_its_frame() -> None:
    """A voice that begins at 0.5 s begins in frame 100."""
    time_s = np.arange(16000) / 16000
    voice = np.where(time_s >= 0.5, np.sign(np.sin(2 * np.pi * 200 * time_s)), 0.0)
    begins = np.flatnonzero(pitch.f0(voice, 16000))[0]
    assert 98 <= begins <= 102


def test_pitch_of_noise_and_silence() -> None:
    random = np.random.default_rng(0)
    assert (pitch.f0(np.zeros(4000), 4000) == 0).all()
    assert (pitch.f0(random.normal(size=16000), 16000) > 0).mean() < 0.1


@pytest.mark.parametrize("length", [1, 39, 40, 41, 500])
def test_a_value_for_each_frame_however_short(length: int) -> None:
    samples = (1000 * np.sin(np.arange(length) / 10)).astype(np.int16)
    assert len(pitch.f0(samples, 8000)) == -(-length // 40)


def test_praat_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "parselmouth", None)
    with pytest.raises(data.DataError, match=r"not installed: pip install \.\[demo\]"):
        pitch.f0(np.ones(100), 8000)
