"""Fundamental frequency from the autocorrelation of windowed frames (Boersma, 1993)."""

import numpy as np

LOWEST_HZ = 60
HIGHEST_HZ = 400
WINDOW_PERIODS = 3
VOICED_ABOVE = 0.6
SILENT_BELOW = 0.03


def f0(samples: np.ndarray, sample_rate_hz: int, *, frame_s: float) -> np.ndarray:
    """F0 at the middle of each frame.

    Args:
      samples: Float `[N]`.
      sample_rate_hz: Their rate.
      frame_s: Duration of a frame.

    Returns:
      Hz, float32 `[ceil(N / (sample_rate_hz * frame_s))]`, 0 where unvoiced: where
      the normalised autocorrelation stays under `VOICED_ABOVE`, or the frame's
      peak under `SILENT_BELOW` of the recording's.
    """
    width = int(WINDOW_PERIODS * sample_rate_hz / LOWEST_HZ)
    hop = sample_rate_hz * frame_s
    middles = ((np.arange(int(np.ceil(len(samples) / hop))) + 0.5) * hop).astype(int)
    padded = np.pad(samples.astype(np.float32), (width // 2, width))
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[middles]
    loud = np.abs(frames).max(axis=1) > SILENT_BELOW * np.abs(samples).max(initial=0)
    window = np.hanning(width).astype(np.float32)
    frames = (frames - frames.mean(axis=1, keepdims=True)) * window
    size = 2 ** int(np.ceil(np.log2(2 * width)))

    def autocorrelation(x: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(x, size)) ** 2
        correlation = np.fft.irfft(power)
        return correlation / np.maximum(correlation[..., :1], 1e-9)

    shortest, longest = sample_rate_hz // HIGHEST_HZ, sample_rate_hz // LOWEST_HZ
    strength = (autocorrelation(frames) / autocorrelation(window))[:, shortest : longest + 1]
    # A multiple of the period correlates as well as the period: prefer the shorter lag.
    octave = 0.02 * np.log2(np.arange(shortest, longest + 1))
    best = np.clip((strength - octave)[:, 1:-1].argmax(axis=1) + 1, 1, longest - shortest - 1)
    rows = np.arange(len(best))
    before, at, after = (strength[rows, best + shift] for shift in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend < 0, (before - after) / np.where(bend < 0, 2 * bend, 1), 0)
    voiced = loud & (at > VOICED_ABOVE)
    lag = shortest + best + np.clip(shift, -0.5, 0.5)
    return np.where(voiced, sample_rate_hz / lag, 0).astype(np.float32)
