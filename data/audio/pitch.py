"""Fundamental frequency by Praat, whose autocorrelation method is Boersma's (1993).

Praat is GPL-3.0-or-later and comes with the package `praat-parselmouth`.
"""

import numpy as np

from data.errors import DataError

MIN_F0_HZ = 60.0
MAX_F0_HZ = 400.0
VOICED_ABOVE = 0.6  # of the autocorrelation; with Praat's default 0.45 many pauses are voiced
FRAME_S = 0.005
# Praat's window holds three of the longest periods: the first and last frames need that much.
_MARGIN_S = 3 / MIN_F0_HZ


def f0(
    samples: np.ndarray, sample_rate_hz: int, *, voiced_above: float = VOICED_ABOVE
) -> np.ndarray:
    """F0 at the middle of each frame of 5 ms.

    Args:
      samples: `[N]`, int16 or floats.
      sample_rate_hz: Their rate.
      voiced_above: The autocorrelation from which a frame is voiced.

    Returns:
      Hz, float32 `[ceil(N / (0.005 sample_rate_hz))]`, from 60 to 400, and 0 where unvoiced.

    Raises:
      DataError: `praat-parselmouth` is not installed.
    """
    try:
        import parselmouth
    except ImportError:
        raise DataError(
            "praat-parselmouth, which tracks the pitch, is not installed: pip install .[demo] has "
            "it (GPL-3.0-or-later)"
        ) from None
    num_frames = int(np.ceil(len(samples) / (sample_rate_hz * FRAME_S) - 1e-9))
    if not np.any(samples):
        return np.zeros(num_frames, np.float32)
    margin = int(_MARGIN_S * sample_rate_hz)
    padded = np.pad(np.asarray(samples, np.float64), margin)
    track = parselmouth.Sound(padded / np.abs(padded).max(), sample_rate_hz).to_pitch_ac(
        time_step=FRAME_S,
        pitch_floor=MIN_F0_HZ,
        pitch_ceiling=MAX_F0_HZ,
        voicing_threshold=voiced_above,
    )
    middles_s = (np.arange(num_frames) + 0.5) * FRAME_S + margin / sample_rate_hz
    f0_hz = np.array([track.get_value_at_time(middle) for middle in middles_s], np.float32)
    return np.nan_to_num(f0_hz)


def f0_at(f0_hz: np.ndarray, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """F0 of a recording, as `f0` gives it, at samples `[N]`; beyond its ends that of the last frame
    there."""
    frames = (samples / (FRAME_S * sample_rate_hz)).astype(int)
    return f0_hz[np.clip(frames, 0, len(f0_hz) - 1)]


def voicing(f0_hz: np.ndarray, start: int, stop: int, sample_rate_hz: int) -> np.ndarray:
    """Where samples `start` to `stop` of a recording are voiced, with ramps of a frame between.

    Args:
      f0_hz: of the whole recording, as `f0` gives it.
      start, stop: the stretch, in samples.
      sample_rate_hz: of the recording.

    Returns:
      1 where voiced, 0 where not, float32 `[stop - start]`.
    """
    ramp = np.hanning(int(FRAME_S * sample_rate_hz) // 2 * 2 + 3)[1:-1]
    beyond = len(ramp) // 2
    voiced = f0_at(f0_hz, np.arange(start - beyond, stop + beyond), sample_rate_hz) > 0
    return np.convolve(voiced, ramp / ramp.sum(), "valid").astype(np.float32)
