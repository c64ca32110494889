"""DNSMOS, PESQ and STOI of speech and of the same speech with noise."""

import sys

import numpy as np
import pytest

from experiments.metrics import perceptual
from experiments.metrics.perceptual import UndefinedError

pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")

from data.text.espeak.engine import NATIVE_RATE_HZ as RATE_HZ
from data.text.espeak.synthesis import Utterance, synthesise


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    (spoken,) = synthesise([Utterance("my brother will arrive before the morning", "en-us", 150)])
    return spoken.samples


@pytest.fixture(scope="module")
def noisy(speech: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.1 * speech.std(), len(speech))
    return np.clip(speech + noise, -32768, 32767).astype(np.int16)


def test_dnsmos(speech: np.ndarray, noisy: np.ndarray) -> None:
    pytest.importorskip("speechmos", reason="DNSMOS is in the extra quality")
    clean = perceptual.dnsmos(speech, RATE_HZ)
    with_noise = perceptual.dnsmos(noisy, RATE_HZ)
    assert all(1 <= score <= 5 for score in (*clean, *with_noise))
    assert with_noise.overall < clean.overall - 0.1
    assert with_noise.background < clean.background - 0.1
    # A window each second of a sound that is longer than one.
    sound = np.resize(speech / 32768, 11 * 16000)
    first, last = sound[: perceptual.DNSMOS_WINDOW], sound[16000:][: perceptual.DNSMOS_WINDOW]
    both = [perceptual.dnsmos(each, 16000) for each in (first, last)]
    whole = perceptual.dnsmos(sound[: 16000 + perceptual.DNSMOS_WINDOW], 16000)
    assert whole == pytest.approx(np.mean(both, axis=0))
    assert both[0] != pytest.approx(both[1], abs=1e-4)


def test_dnsmos_is_that_of_speechmos(speech: np.ndarray) -> None:
    package = pytest.importorskip("speechmos.dnsmos", reason="DNSMOS is in the extra quality")
    window = np.resize(speech / 32768, perceptual.DNSMOS_WINDOW)
    theirs = package.run(window, 16000)
    ours = perceptual.dnsmos(window, 16000)
    for name, score in zip(("ovrl", "sig", "bak"), ours, strict=True):
        assert theirs[f"{name}_mos"] == pytest.approx(score, abs=1e-3)


def test_stoi(speech: np.ndarray, noisy: np.ndarray) -> None:
    pytest.importorskip("pystoi", reason="STOI is in the extra quality")
    assert perceptual.stoi(speech, speech, RATE_HZ) == pytest.approx(1)
    assert perceptual.stoi(speech, noisy, RATE_HZ) < 0.999
    assert perceptual.stoi(speech, speech[::-1], RATE_HZ) < 0.5
    for short in (speech[:2000], speech[:50]):
        with pytest.raises(UndefinedError, match=r"at least 0\.4 s of speech"):
            perceptual.stoi(short, short, RATE_HZ)


@pytest.mark.parametrize("rate", [8000, RATE_HZ])
def test_pesq(speech: np.ndarray, noisy: np.ndarray, rate: int) -> None:
    pytest.importorskip("pesq", reason="PESQ is in the extra pesq")
    same = perceptual.pesq(speech, speech, rate)
    assert same > 4.5
    assert perceptual.pesq(speech, noisy, rate) < same - 0.5
    with pytest.raises(UndefinedError, match="too little speech"):
        perceptual.pesq(speech[:1000], speech[:1000], rate)
    with pytest.raises(UndefinedError, match="a sound is silent"):
        perceptual.pesq(speech, 0 * speech, rate)


def test_what_is_not_installed_is_named(monkeypatch) -> None:
    perceptual._dnsmos_network.cache_clear()
    sound = np.ones(8000) / 2
    for package, measure in (
        ("speechmos", lambda: perceptual.dnsmos(sound, 8000)),
        ("pesq", lambda: perceptual.pesq(sound, sound, 8000)),
        ("pystoi", lambda: perceptual.stoi(sound, sound, 8000)),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UndefinedError, match=f"{package} is not installed: pip install"):
            measure()
    perceptual._dnsmos_network.cache_clear()


def test_no_speech_has_no_score() -> None:
    with pytest.raises(UndefinedError, match="the sound is silent"):
        perceptual.dnsmos(np.zeros(8000, np.int16), 8000)
    with pytest.raises(UndefinedError, match=r"shorter than 0\.1 s"):
        perceptual.dnsmos(np.ones(799), 8000)
