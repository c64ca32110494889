"""Spectral subtraction: a recording without its steady noise (Boll, 1979)."""

import numpy as np
import scipy  # whose parts are imported where they are used

FRAME_S, HOP_S = 0.032, 0.008
QUIET_SHARE, QUIET_DB = 0.1, 20.0
"""Of the frames that are not silent, those that the noise is estimated from: so many of them at
most, and so far below the loudest at least."""

FLOOR = 0.1
"""What is left of a band at least, of its amplitude: bands that vanish ring ("musical noise")."""


def subtract_noise(samples: np.ndarray, sample_rate_hz: int, strength: float) -> np.ndarray:
    """A recording, from whose spectra the mean spectrum of its quietest frames is subtracted.

    Args:
      samples: int16 `[N]`.
      sample_rate_hz: of the recording.
      strength: factor of the noise's power, 0 for none; above 1 to subtract more than the mean.

    Returns:
      int16 `[N]`; the recording as it is where no frame is quiet.
    """
    length = 2 * round(FRAME_S * sample_rate_hz / 2)
    hop = round(HOP_S * sample_rate_hz)
    if not strength or len(samples) < length:
        return samples
    window = scipy.signal.windows.hann(length, sym=False)
    transform = scipy.signal.ShortTimeFFT(window, hop, sample_rate_hz)
    spectra = transform.stft(samples.astype(np.float64))
    power = np.abs(spectra) ** 2
    energy = power.sum(axis=0)
    sounding = np.flatnonzero(energy > 1)  # digital silence tells nothing of the noise
    quietest = sounding[np.argsort(energy[sounding])][: max(1, round(QUIET_SHARE * len(sounding)))]
    quietest = quietest[energy[quietest] < energy.max() * 10 ** (-QUIET_DB / 10)]
    if not len(quietest):
        return samples
    noise = power[:, quietest].mean(axis=1, keepdims=True)
    gain = np.sqrt(np.maximum(1 - strength * noise / np.maximum(power, 1e-9), FLOOR**2))
    cleaned = transform.istft(spectra * gain, k1=len(samples))
    return np.clip(np.rint(cleaned), -32768, 32767).astype(np.int16)
