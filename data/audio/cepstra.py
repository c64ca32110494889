"""Mel-frequency cepstral coefficients (MFCCs)."""

import librosa
import numpy as np


def mel_cepstra(
    samples: np.ndarray,
    sample_rate_hz: int,
    *,
    num_cepstra: int,
    num_mels: int,
    n_fft: int,
    hop_samples: int,
    window_samples: int | None = None,
    fmin_hz: float = 0.0,
    range_db: float = 80.0,
    relative_to_peak: bool = False,
    centred_on_middles: bool = False,
) -> np.ndarray:
    """The MFCCs of a recording: the orthonormal DCT-II of its mel bands' power in dB (librosa).

    Args:
      samples: Floats `[N]`; beyond both ends they continue as zeros.
      sample_rate_hz: Rate of the samples.
      num_cepstra: K, coefficients from the zeroth on.
      num_mels: Bands on Slaney's mel scale.
      n_fft: Size of the Fourier transform.
      hop_samples: Samples a frame.
      window_samples: Length of the Hann window within `n_fft`; None takes `n_fft`.
      fmin_hz: Where the lowest band begins. The highest ends at half the sample rate.
      range_db: Bands further below the loudest band of the recording are raised to this
        distance from it.
      relative_to_peak: Whether 0 dB is the loudest band, instead of a power of 1.
      centred_on_middles: Whether window k is centred on the middle of frame k, instead of on
        its first sample.

    Returns:
      Float32 `[F, K]`; F is `1 + N // hop_samples`, or `ceil(N / hop_samples)` with
      `centred_on_middles`.
    """
    num_frames = 1 + len(samples) // hop_samples
    if centred_on_middles:
        num_frames = -(-len(samples) // hop_samples)
        samples = np.pad(samples, ((n_fft - hop_samples) // 2, n_fft + hop_samples))
    bands = librosa.feature.melspectrogram(
        y=samples,
        sr=sample_rate_hz,
        n_fft=n_fft,
        win_length=window_samples,
        hop_length=hop_samples,
        center=not centred_on_middles,
        n_mels=num_mels,
        fmin=fmin_hz,
    )
    reference = np.max if relative_to_peak else 1.0
    decibels = librosa.power_to_db(bands, ref=reference, top_db=range_db)
    cepstra: np.ndarray = librosa.feature.mfcc(S=decibels, n_mfcc=num_cepstra)
    return cepstra[:, :num_frames].T
