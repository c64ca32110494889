"""Spectral distances of two recordings that are aligned in time.

Both distances are means over pairs of frames at the same time: nothing is warped, so they are for
copy synthesis and the like, not for two readings of a sentence. Frames have 25 ms, every 5 ms,
with a Hann window; silent frames count as others do.
"""

import math

import librosa
import numpy as np
from numpy.typing import ArrayLike

from wavenet_jax import InputError

WINDOW_S = 0.025
HOP_S = 0.005
FLOOR_DB = -100.0
"""The least level of a bin, in dB of a sine at full scale."""

NUM_MELS = 40
NUM_COEFFICIENTS = 13


def log_spectral_distance_db(
    reference: ArrayLike, generated: ArrayLike, sample_rate_hz: int
) -> float:
    """The log-spectral distance, in dB.

    In each frame the root of the mean, over the bins of the FFT, of the square of
    `10 log10 P - 10 log10 P'`; of these the mean over frames. It is the rms log spectral
    measure of Gray and Markel (1976), "Distance measures for speech processing", IEEE
    Transactions on Acoustics, Speech, and Signal Processing 24(5). Powers below -100 dB of a
    sine at full scale are raised to that. A gain of g dB gives a distance of |g|.

    Args:
      reference: samples `[T]`, int16 or floats in [-1, 1].
      generated: samples `[T]` of the same length.
      sample_rate_hz: of both.

    Raises:
      InputError: they differ in length, or have no samples.
    """
    levels_db = [
        np.maximum(20 * np.log10(np.maximum(magnitudes, 1e-30)), FLOOR_DB)
        for magnitudes in _magnitudes(reference, generated, sample_rate_hz)
    ]
    squares = np.square(levels_db[0] - levels_db[1])
    return float(np.sqrt(squares.mean(axis=0)).mean())


def mel_cepstral_distortion_db(
    reference: ArrayLike, generated: ArrayLike, sample_rate_hz: int
) -> float:
    """The mel-cepstral distortion, in dB.

    In each frame `10 sqrt(2) / ln 10` times the Euclidean distance of the mel cepstra's
    coefficients 1 to 13; of these the mean over frames (Kubichek, 1993, "Mel-cepstral distance
    measure for objective speech quality assessment", IEEE PacRim). Coefficient 0, the loudness,
    is left out: a gain changes nothing.

    The cepstrum is the DCT-II of the natural logarithm of 40 bands on Slaney's mel scale, each
    the weighted mean of its magnitudes (not below -100 dB of a sine at full scale), and is
    scaled to be the c of
    `ln X(m) = c_0 / 2 + sum_k c_k cos(pi k (m + 1/2) / 40)`. With that scale the factor makes the
    distance the root mean square, over bands, of the difference of the smoothed mel spectra
    in dB. Cepstra of another kind, such as SPTK's or those of an orthonormal DCT, give other
    figures: compare only what this function measured.

    Args:
      reference: samples `[T]`, int16 or floats in [-1, 1].
      generated: samples `[T]` of the same length.
      sample_rate_hz: of both.

    Raises:
      InputError: they differ in length, or have no samples.
    """
    cepstra = []
    for magnitudes in _magnitudes(reference, generated, sample_rate_hz):
        mel = librosa.feature.melspectrogram(
            S=magnitudes, sr=sample_rate_hz, n_mels=NUM_MELS, power=1.0, norm=1.0
        )
        ln_mel = np.log(np.maximum(mel, 10 ** (FLOOR_DB / 20)))
        dct = librosa.feature.mfcc(S=ln_mel, n_mfcc=1 + NUM_COEFFICIENTS, norm=None)
        cepstra.append(dct[1:] / NUM_MELS)
    distances = np.sqrt(np.square(cepstra[0] - cepstra[1]).sum(axis=0))
    return float(10 * math.sqrt(2) / math.log(10) * distances.mean())


def centroid_hz(samples: ArrayLike, sample_rate_hz: int) -> float:
    """The spectral centroid: the mean frequency, weighted by the power of all frames together; NaN
    of silence, which has none.

    Args:
      samples: `[T]`, int16 or floats in [-1, 1].
      sample_rate_hz: of them.

    Raises:
      InputError: there are no samples.
    """
    magnitudes, _ = _magnitudes(samples, samples, sample_rate_hz)
    powers = np.square(magnitudes, dtype=np.float64).sum(axis=1)
    if not powers.sum() > 0:
        return math.nan
    frequencies_hz = np.linspace(0, sample_rate_hz / 2, len(powers))
    return float(np.average(frequencies_hz, weights=powers))


def _magnitudes(
    reference: ArrayLike, generated: ArrayLike, sample_rate_hz: int
) -> tuple[np.ndarray, np.ndarray]:
    """The magnitudes of both, `[bins, frames]`; 1 is the peak of a sine at full scale."""
    both = [np.asarray(reference), np.asarray(generated)]
    if both[0].shape != both[1].shape or both[0].ndim != 1 or not both[0].size:
        raise InputError(
            f"The recordings have shapes {both[0].shape} and {both[1].shape}: give two of the "
            "same shape [T], T > 0."
        )
    window_samples = max(2, round(WINDOW_S * sample_rate_hz))
    n_fft = 2 ** math.ceil(math.log2(window_samples))
    hop_samples = max(1, round(HOP_S * sample_rate_hz))

    def magnitudes(samples: np.ndarray) -> np.ndarray:
        scaled = samples / np.float32(32768 if samples.dtype == np.int16 else 1)
        # librosa warns about recordings shorter than its window.
        longer = np.pad(scaled, (0, max(0, n_fft - len(samples))))
        spectrum = librosa.stft(
            longer, n_fft=n_fft, win_length=window_samples, hop_length=hop_samples
        )
        num_frames = 1 + len(samples) // hop_samples
        return np.asarray(np.abs(spectrum[:, :num_frames]) / (window_samples / 4))

    return magnitudes(both[0]), magnitudes(both[1])
