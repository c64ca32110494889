"""The comb filter of a pitch: less noise between the harmonics of voiced speech.

What repeats from period to period is kept, what does not is averaged away: the long-term postfilter
of speech codecs (Chen and Gersho, 1995), with the periods before and after as in Valin et al.
(2020), "A perceptually-motivated approach for low-complexity, real-time enhancement of fullband
speech".
"""

import numpy as np
import scipy  # whose parts are imported where they are used

import data

VOICED_ABOVE = 0.45  # Praat's default threshold: noisy voiced speech is filtered as well
F0_FRAME_S = 0.005  # of `data.f0`
WINDOW_S = 0.02
NEIGHBOUR = 0.25
"""Weight of the period before and of that after, beside 0.5: noise falls by 4.3 dB."""


def comb_filter(samples: np.ndarray, sample_rate_hz: int, strength: float) -> np.ndarray:
    """Speech, each voiced sample of which is averaged with those a period before and after.

    A filtered sample is `x + g (0.25 x(t - T) + 0.5 x + 0.25 x(t + T) - x)`, T the period there (on
    either side that of half way, for a pitch that glides) and g the strength times how well the
    20 ms around it correlate with their neighbours: what is not periodic, and all that is
    unvoiced, stays as it is.

    Args:
      samples: int16 `[N]`.
      sample_rate_hz: of the recording.
      strength: from 0, for none, to 1.

    Returns:
      int16 `[N]`.

    Raises:
      DataError: `praat-parselmouth`, which finds the pitch, is not installed.
    """
    if not strength:
        return samples
    f0_hz = data.f0(samples, sample_rate_hz, voiced_above=VOICED_ABOVE)
    voiced = f0_hz > 0
    if not voiced.any():
        return samples
    sound = samples.astype(np.float64)
    times = np.arange(len(sound))
    middles = (np.arange(len(f0_hz)) + 0.5) * F0_FRAME_S * sample_rate_hz
    periods = np.interp(times, middles[voiced], sample_rate_hz / f0_hz[voiced])

    def period_away(sign: int) -> np.ndarray:
        """The sound a period later (1) or earlier (-1), by the pitch half way to there."""
        lags = np.interp(times + sign * periods / 2, times, periods)
        return scipy.ndimage.map_coordinates(sound, [times + sign * lags], order=3, mode="constant")

    neighbours = (period_away(-1) + period_away(1)) / 2
    window = max(1, round(WINDOW_S * sample_rate_hz))

    def mean(values: np.ndarray) -> np.ndarray:
        return scipy.ndimage.uniform_filter1d(values, window, mode="constant")

    power = mean(sound**2) * mean(neighbours**2)
    correlation = mean(sound * neighbours) / np.sqrt(np.maximum(power, 1e-9))
    gain = strength * correlation.clip(0, 1) * np.interp(times, middles, voiced)
    filtered = sound + gain * 2 * NEIGHBOUR * (neighbours - sound)
    return np.clip(np.rint(filtered), -32768, 32767).astype(np.int16)
