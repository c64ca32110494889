"""Mel spectrograms: librosa's definition, each frame over its own samples, and the way back."""

import dataclasses
import pathlib
import pickle

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import noise

import data
from data.audio.mel import mel_to_magnitudes

CONFIG = data.MelConfig(
    sample_rate_hz=8000, hop_samples=100, n_fft=400, num_mels=20, fmin_hz=60.0, fmax_hz=3800.0
)
LN_FLOOR = np.log(1e-5)


def ln_mel(frames: np.ndarray) -> np.ndarray:
    """Undoes the map to about [-1, 1], as the documentation gives it."""
    return LN_FLOOR + (frames + 1) / 2 * (2 - LN_FLOOR)


def test_is_librosas_spectrogram() -> None:
    """Away from the ends, and shifted by where librosa's centred frames stand."""
    samples = noise(2000)
    expected = librosa.feature.melspectrogram(
        y=samples[CONFIG.hop_samples // 2 :] / np.float32(32768),
        sr=8000,
        n_fft=400,
        hop_length=100,
        power=1,
        n_mels=20,
        fmin=60.0,
        fmax=3800.0,
    )
    frames = data.mel_spectrogram(samples, CONFIG)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(
        ln_mel(frames)[2:-3], np.log(expected.T)[2 : len(frames) - 3], atol=1e-4
    )


def test_is_computed_in_float64() -> None:
    """So that its float32 do not depend on the order in which a product is summed."""
    samples = noise(20000)
    lead = CONFIG.n_fft // 2 - CONFIG.hop_samples // 2
    padded = np.pad(samples.astype(np.float64) / 32768, (lead, CONFIG.n_fft))
    frames = np.lib.stride_tricks.sliding_window_view(padded, CONFIG.n_fft)[:: CONFIG.hop_samples]
    window = scipy.signal.get_window("hann", CONFIG.n_fft)
    bands = librosa.filters.mel(sr=8000, n_fft=400, n_mels=20, fmin=60.0, fmax=3800.0)
    mel = np.abs(np.fft.rfft(frames * window)) @ bands.T.astype(np.float64)
    share = (np.log(np.maximum(mel, 1e-5)) - LN_FLOOR) / (2 - LN_FLOOR)
    found = data.mel_spectrogram(samples, CONFIG)
    assert np.mean(found == (2 * share - 1)[: len(found)].astype(np.float32)) > 0.999


@given(st.integers(1, 450), st.integers(1, 60), st.integers(8, 70))
@settings(max_examples=40)
def test_any_length_any_hop(length: int, hop: int, longer: int) -> None:
    config = data.MelConfig(8000, hop, hop + longer, 1, 0, 4000)
    assert data.mel_spectrogram(noise(length), config).shape == (-(-length // hop), 1)


@pytest.mark.parametrize(("hop", "n_fft"), [(100, 400), (100, 401), (101, 400), (256, 1024)])
def test_a_click_is_loudest_in_its_own_frame(hop: int, n_fft: int) -> None:
    config = dataclasses.replace(CONFIG, hop_samples=hop, n_fft=n_fft)
    length = 10 * hop + 7
    # The first sample of a frame is as far from the middle of the frame before.
    for sample in (1, hop - 1, hop + 1, 5 * hop + hop // 2, 9 * hop + 1, 10 * hop - 1, length - 1):
        click = np.zeros(length, np.int16)
        click[sample] = 30000
        loudness = data.mel_spectrogram(click, config).sum(axis=1)
        assert loudness.argmax() == sample // hop, sample


def test_a_frame_is_centred_on_its_middle() -> None:
    """Equally far before and after it, a click is equally loud."""
    loudness = []
    for sample in (550 - 130, 550 + 130):
        click = np.zeros(1000, np.int16)
        click[sample] = 30000
        loudness.append(data.mel_spectrogram(click, CONFIG)[5])
    np.testing.assert_allclose(*loudness, atol=1e-5)
    assert loudness[0].min() > -1


def test_silence_and_full_scale() -> None:
    silence = data.mel_spectrogram(np.zeros(1000, np.int16), CONFIG)
    np.testing.assert_allclose(silence, -1, atol=1e-6)  # the last bit is the logarithm's
    config = data.MelConfig(22050, 256, 1024, 80, 0, 8000)
    tone = np.sin(2 * np.pi * 300 * np.arange(8192) / 22050)
    loud = data.mel_spectrogram((32767 * tone).astype(np.int16), config)
    assert 0.9 < loud.max() < 1.1
    assert loud.min() >= -1 - 1e-6


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hop_samples", 0, "hop_samples is 0: it must be a whole number of at least 1"),
        ("num_mels", 2.5, "num_mels is 2.5"),
        ("n_fft", 99, "n_fft is 99: it must be at least hop_samples=100"),
        ("fmin_hz", -1.0, "fmin_hz is -1.0"),
        ("fmin_hz", 3800.0, "must rise within 0 to 4000 Hz"),
        ("fmax_hz", 4001.0, "fmax_hz 4001.0"),
        ("num_mels", 400, r"num_mels is 400: \d+ of these bands lie between two bins"),
    ],
)
def test_refusals(field: str, value: float, message: str) -> None:
    with pytest.raises(data.DataError, match=message):
        dataclasses.replace(CONFIG, **{field: value})


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.int16), np.zeros((9, 2), np.int16), np.zeros(9, np.float32)]
)
def test_only_int16_of_one_recording(samples: np.ndarray) -> None:
    with pytest.raises(data.DataError, match="give int16 .N., N > 0"):
        data.mel_spectrogram(samples, CONFIG)


def test_features_of_a_recording_travel_to_workers() -> None:
    compute = data.MelFeatures(CONFIG)
    there = pickle.loads(pickle.dumps(compute))
    frames = there({"audio": noise(1234), "recording": "a"})
    np.testing.assert_array_equal(frames, data.mel_spectrogram(noise(1234), CONFIG))


def syllables() -> np.ndarray:
    """Two seconds of a voice-like buzz, in bursts that begin sharply."""
    time_s = np.arange(16000) / 8000
    buzz = sum(np.sin(2 * np.pi * 140 * k * time_s) / k for k in range(1, 20))
    return (5000 * buzz * ((time_s * 3.7 % 1) < 0.4)).astype(np.int16)


def lag_samples(reference: np.ndarray, other: np.ndarray) -> int:
    """By how much `other` is late: where the loudness of both correlates best."""
    smooth = np.hanning(81)
    a, b = (np.convolve(np.abs(x.astype(float)), smooth, "same") for x in (reference, other))
    correlation = scipy.signal.correlate(b - b.mean(), a - a.mean(), "full")
    return int(correlation.argmax()) - (len(a) - 1)


def test_griffin_lim_is_in_time_and_has_the_spectrogram() -> None:
    samples = syllables()
    mel = data.mel_spectrogram(samples, CONFIG)
    again = data.griffin_lim(mel, CONFIG, len(samples))
    assert again.dtype == np.int16
    assert again.shape == samples.shape
    assert abs(lag_samples(samples, again)) < 16
    audible = mel > -0.5
    assert np.abs(data.mel_spectrogram(again, CONFIG) - mel)[audible].mean() < 0.03
    np.testing.assert_array_equal(again, data.griffin_lim(mel, CONFIG, len(samples)))


def test_magnitudes_have_the_mel_bands() -> None:
    mel = data.mel_spectrogram(syllables()[:4000], CONFIG)
    magnitudes = mel_to_magnitudes(mel, CONFIG)
    assert magnitudes.shape == (201, 40)
    assert magnitudes.min() >= 0
    bands = librosa.filters.mel(sr=8000, n_fft=400, n_mels=20, fmin=60.0, fmax=3800.0)
    np.testing.assert_allclose((bands @ magnitudes).T, np.exp(ln_mel(mel)), atol=1e-3)


def test_griffin_lim_refuses_frames_of_another_recording() -> None:
    mel = data.mel_spectrogram(noise(1000), CONFIG)
    with pytest.raises(data.DataError, match="mel has 10 frames: 1001 samples have 11 of 100"):
        data.griffin_lim(mel, CONFIG, 1001)
    with pytest.raises(data.DataError, match=r"shape \(10, 19\): give frames of num_mels=20"):
        data.griffin_lim(mel[:, 1:], CONFIG, 1000)
    with pytest.raises(data.DataError, match="n_fft is 150: Griffin-Lim needs .* 200 samples"):
        data.griffin_lim(mel, dataclasses.replace(CONFIG, n_fft=150, num_mels=5), 1000)


def test_a_real_recording_is_in_time(shared: pathlib.Path) -> None:
    config = data.MelConfig(22050, 256, 1024, 80, 0, 8000)
    path = shared / "ljspeech" / "wavs" / "LJ001-0002.wav"
    samples = soundfile.read(path, dtype="int16")[0][:22050]
    mel = data.mel_spectrogram(samples, config)
    assert mel.min() >= -1
    assert 0.3 < mel.max() < 1.1
    assert abs(lag_samples(samples, data.griffin_lim(mel, config, len(samples)))) < 64
