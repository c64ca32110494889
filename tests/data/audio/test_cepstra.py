"""Mel cepstra: one function, with librosa's own numbers in each of the project's three uses."""

import librosa
import numpy as np
import pytest

from data.audio.cepstra import mel_cepstra


def sound(length: int) -> np.ndarray:
    """A tone in noise that swells from silence."""
    time = np.arange(length) / 8000
    noise = np.random.default_rng(0).normal(0, 0.01, length)
    return (np.linspace(0, 0.5, length) * np.sin(2 * np.pi * 440 * time) + noise).astype(np.float32)


@pytest.mark.parametrize("length", [512, 4000, 4001])
def test_of_alignment(length: int) -> None:
    """Relative to the loudest band, within a range of 45 dB."""
    samples = sound(length) * 32768
    bands = librosa.feature.melspectrogram(
        y=samples, sr=8000, n_fft=512, win_length=160, hop_length=40, n_mels=40, fmin=50.0
    )
    wanted = librosa.feature.mfcc(S=librosa.power_to_db(bands, ref=np.max, top_db=45.0), n_mfcc=13)
    found = mel_cepstra(
        samples,
        8000,
        num_cepstra=13,
        num_mels=40,
        n_fft=512,
        window_samples=160,
        hop_samples=40,
        fmin_hz=50.0,
        range_db=45.0,
        relative_to_peak=True,
    )
    assert found.shape == (1 + length // 40, 13)
    np.testing.assert_array_equal(found, wanted.T)


@pytest.mark.parametrize("length", [1, 79, 80, 4000, 4001])
def test_of_a_baseline_of_recognition(length: int) -> None:
    """A frame's window is centred on its middle, and every sample is in a frame."""
    n_fft, hop, samples = 512, 80, sound(length)
    wanted = librosa.feature.mfcc(
        y=np.pad(samples, ((n_fft - hop) // 2, n_fft + hop)),
        sr=8000,
        n_mfcc=13,
        n_mels=26,
        n_fft=n_fft,
        win_length=200,
        hop_length=hop,
        center=False,
    )[:, : -(-length // hop)]
    found = mel_cepstra(
        samples,
        8000,
        num_cepstra=13,
        num_mels=26,
        n_fft=n_fft,
        window_samples=200,
        hop_samples=hop,
        centred_on_middles=True,
    )
    np.testing.assert_array_equal(found, wanted.T)


@pytest.mark.parametrize("length", [256, 4000, 4001])
def test_of_a_classifier_of_speakers(length: int) -> None:
    samples = sound(length)
    wanted = librosa.feature.mfcc(
        y=samples, sr=8000, n_mfcc=20, n_mels=40, n_fft=256, hop_length=64
    )
    found = mel_cepstra(samples, 8000, num_cepstra=20, num_mels=40, n_fft=256, hop_samples=64)
    np.testing.assert_array_equal(found, wanted.T)


def test_a_tone_is_in_the_frame_that_holds_it() -> None:
    samples = np.zeros(1600, np.float32)
    samples[800:880] = 0.5 * np.sin(np.arange(80))
    shape = {"num_cepstra": 5, "num_mels": 20, "n_fft": 256, "hop_samples": 80}
    by_middle, by_start = (
        mel_cepstra(samples, 8000, window_samples=80, centred_on_middles=centred, **shape)[:, 0]
        for centred in (True, False)
    )
    assert by_middle.argmax() == 10 and by_middle[9] == by_middle[11] == by_middle.min()
    assert set(by_start.argsort()[-2:]) == {10, 11}
