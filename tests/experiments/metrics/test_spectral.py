"""The two spectral distances against figures from their definitions."""

import librosa
import numpy as np
import pytest
import scipy.fft

from experiments.metrics import spectral
from experiments.metrics.spectral import log_spectral_distance_db, mel_cepstral_distortion_db
from wavenet_jax import InputError

RATE_HZ = 8000


def noise(seed: int, deviation: float = 0.05, length: int = 4000) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, deviation, length)


@pytest.mark.parametrize("distance", [log_spectral_distance_db, mel_cepstral_distortion_db])
def test_a_recording_is_at_no_distance_from_itself(distance) -> None:
    assert distance(noise(0), noise(0), RATE_HZ) == 0
    assert distance(noise(0), noise(1), RATE_HZ) > 1
    forth, back = distance(noise(0), noise(1), RATE_HZ), distance(noise(1), noise(0), RATE_HZ)
    assert forth == pytest.approx(back)


@pytest.mark.parametrize("gain_db", [-12.0, 0.5, 6.0])
def test_a_gain(gain_db: float) -> None:
    louder = noise(0) * 10 ** (gain_db / 20)
    assert log_spectral_distance_db(noise(0), louder, RATE_HZ) == pytest.approx(
        abs(gain_db), rel=1e-4
    )
    assert mel_cepstral_distortion_db(noise(0), louder, RATE_HZ) == pytest.approx(0, abs=1e-4)


def test_frames_count_alike() -> None:
    """Half of the recording 12 dB louder: the mean over frames is half of 12, not its rms."""
    louder = noise(0) * np.where(np.arange(4000) < 2000, 1, 10 ** (12 / 20))
    distance = log_spectral_distance_db(noise(0), louder, RATE_HZ)
    assert distance == pytest.approx(6, abs=0.3)


def test_levels_below_the_floor_count_as_the_floor() -> None:
    quiet, quieter = noise(0, 1e-8), noise(1, 1e-9)
    assert log_spectral_distance_db(quiet, quieter, RATE_HZ) == 0
    assert mel_cepstral_distortion_db(quiet, np.zeros(4000), RATE_HZ) == pytest.approx(0, abs=1e-4)
    # A sine at full scale stands at 0 dB: where it peaks, silence is 100 dB away.
    time_s = np.arange(4000) / RATE_HZ
    magnitudes, _ = spectral._magnitudes(np.sin(2 * np.pi * 1000 * time_s), np.zeros(4000), RATE_HZ)
    assert magnitudes[:, 5:-5].max(axis=0) == pytest.approx(1, rel=1e-3)


def test_the_units_of_int16_and_of_floats_are_one() -> None:
    pcm = np.rint(noise(0) * 32768).astype(np.int16)
    for distance in (log_spectral_distance_db, mel_cepstral_distortion_db):
        assert distance(pcm, pcm / 32768, RATE_HZ) == pytest.approx(0, abs=1e-3)


def test_the_mel_cepstral_distortion_is_that_of_the_smoothed_mel_spectra() -> None:
    """By its definition: rms, over bands, of what coefficients 1 to 13 make of the levels."""
    smoothed_db = []
    for samples in (noise(0), noise(1)):
        magnitudes = np.abs(librosa.stft(samples, n_fft=256, win_length=200, hop_length=40)) / 50
        weights = librosa.filters.mel(sr=RATE_HZ, n_fft=256, n_mels=40, norm=None)
        bands = weights @ magnitudes / weights.sum(axis=1, keepdims=True)
        cepstrum = scipy.fft.dct(20 * np.log10(bands), axis=0, norm="ortho")
        cepstrum[0] = cepstrum[14:] = 0
        smoothed_db.append(scipy.fft.idct(cepstrum, axis=0, norm="ortho"))
    expected = np.sqrt(np.square(smoothed_db[0] - smoothed_db[1]).mean(axis=0)).mean()
    assert mel_cepstral_distortion_db(noise(0), noise(1), RATE_HZ) == pytest.approx(
        expected, rel=1e-3
    )


@pytest.mark.parametrize("distance", [log_spectral_distance_db, mel_cepstral_distortion_db])
def test_recordings_shorter_than_a_window(distance) -> None:
    assert np.isfinite(distance(noise(0)[:30], noise(1)[:30], RATE_HZ))


@pytest.mark.parametrize("distance", [log_spectral_distance_db, mel_cepstral_distortion_db])
def test_recordings_of_other_lengths_are_refused(distance) -> None:
    with pytest.raises(InputError, match=r"shapes \(4000,\) and \(3999,\)"):
        distance(noise(0), noise(1)[1:], RATE_HZ)
    with pytest.raises(InputError, match=r"shapes \(0,\)"):
        distance(noise(0)[:0], noise(1)[:0], RATE_HZ)


def test_the_centroid_of_two_tones_is_that_of_their_powers() -> None:
    time_s = np.arange(8000) / 8000
    low, high = (np.sin(2 * np.pi * hz * time_s) for hz in (500, 2500))
    for share in (0.2, 0.5):
        tones = np.sqrt(share) * high + np.sqrt(1 - share) * low
        found = spectral.centroid_hz(0.4 * tones, 8000)
        assert found == pytest.approx(500 + share * 2000, rel=0.02)
        pcm = np.rint(3000 * tones).astype(np.int16)
        assert spectral.centroid_hz(pcm, 8000) == pytest.approx(found, rel=0.01)
    assert np.isnan(spectral.centroid_hz(np.zeros(900, np.int16), 8000))
