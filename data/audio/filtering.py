"""The filter that shapes the noise of the model: what the model learns is filtered sound.

    y[n] = sum_k taps[k] x[n - k]

Quantisation noise, and what a model gets wrong, are white in the filtered sound. The inverse
filter, applied to generated sound (`wavenet_jax.audio`), gives them the spectrum of 1 / taps: low
where speech is low, so that speech masks them (Tachibana et al., 2018, "An investigation of noise
shaping with perceptual weighting for WaveNet-based speech generation").

Three kinds of taps:

* `pre_emphasis_taps`: of order 1, with a given coefficient;
* `noise_shaping_taps`: of any order, by linear prediction from the mean spectrum of recordings;
* `FrameTaps`: other ones in each frame, which whoever has a model makes from the sound.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from data.errors import DataError

NO_FILTER = (1.0,)
"""The taps that leave sound as it is."""


class FrameTaps(Protocol):
    """Taps in time; picklable and hashable, since corpora are copied and their features cached.

    Attributes:
      order: p of the filter.
      hop_samples: of a frame.
    """

    @property
    def order(self) -> int: ...

    @property
    def hop_samples(self) -> int: ...

    def of_recording(self, example: Mapping[str, Any]) -> np.ndarray:
        """Those of an example with `audio`, int16 `[N]`: `[F, p + 1]`, F = ceil(N / hop)."""
        ...

    def of_frames(self, frames: np.ndarray) -> np.ndarray:
        """Those of frames of the local features, `[F, M]` to `[F, p + 1]`."""
        ...


Taps = tuple[float, ...] | FrameTaps

CLIPPED, CLIPPED_SHARE = 8, 0.001
"""Samples that a filtered stretch of sound may have beyond 16 bits: so many, and that share."""

_HEADROOM = 0.7
"""Peak of the loudest recording that `noise_shaping_taps` sees, of full scale."""

_FRAME, _FLOOR = 512, 1e-6
"""Samples of a spectrum's frames, and its lowest power relative to the highest."""


def apply_filter(samples: np.ndarray, taps: tuple[float, ...], name: str) -> np.ndarray:
    """Filtered sound, int16 `[p + N]` to int16 `[N]`, p being `len(taps) - 1`: the first p samples
    are only context.

    Args:
      samples: int16 `[p + N]`.
      taps: of the filter, `[p + 1]`.
      name: of the recording, for the error.

    Raises:
      DataError: more samples would be clipped than `CLIPPED` and `CLIPPED_SHARE` of them.
    """
    filtered = np.rint(_filtered(samples, taps))
    clipped = int(np.count_nonzero((filtered < -32768) | (filtered > 32767)))
    if clipped > CLIPPED + CLIPPED_SHARE * len(filtered):
        raise DataError(
            f"{clipped} of {len(filtered)} samples of {name} pass full scale in the noise-shaping "
            "filter, which was scaled for the training recordings: lower the recording's level"
        )
    return filtered.clip(-32768, 32767).astype(np.int16)


def apply_frame_taps(samples: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """As `apply_filter`, with the taps of each sample, `[p + 1, N]`; beyond 16 bits clipped, for
    they follow the sound, whose level does not matter."""
    return np.rint(_filtered(samples, taps)).clip(-32768, 32767).astype(np.int16)


def _filtered(samples: np.ndarray, taps: Any) -> np.ndarray:
    """As `apply_filter`, float64. Each sample is summed alike, wherever the sound is cut."""
    order, x = len(taps) - 1, samples.astype(np.float64)
    y = taps[0] * x[order:]
    for k in range(1, order + 1):
        y += taps[k] * x[order - k : len(x) - k]
    return y


def pre_emphasis_taps(coefficient: float) -> tuple[float, ...]:
    """(x[n] - c x[n - 1]) / (1 + c), c from 0 to 1: no recording passes full scale."""
    return (1 / (1 + coefficient), -coefficient / (1 + coefficient)) if coefficient else NO_FILTER


def noise_shaping_taps(
    recordings: Callable[[], Iterable[np.ndarray]],
    *,
    strength: float,
    order: int,
    gain_db: float = 0.0,
) -> tuple[float, ...]:
    """The filter after which recordings have their mean spectrum to the power 1 - `strength`.

    It is the inverse of the all-pole filter (linear prediction, autocorrelation method) whose
    spectrum is that of the recordings to the power `strength`, scaled so that the loudest
    recording has its peak 3 dB below full scale.

    Args:
      recordings: gives them anew at each call, int16 `[N]` each.
      strength: from 0, which leaves the spectrum as it is, to 1, which makes it flat.
      order: p of the filter.
      gain_db: by how much recordings may be amplified before they are filtered.

    Returns:
      The taps, `[p + 1]`.

    Raises:
      DataError: the recordings are silent.
    """
    power = sum(_power_spectrum(each) for each in recordings())
    if not np.any(power):
        raise DataError(
            "noise_shaping needs the spectrum of the training recordings, and they are silent: "
            "give recordings with sound, or noise_shaping 0"
        )
    power = np.maximum(power, _FLOOR * np.max(power)) ** strength
    correlation = np.fft.irfft(power)[: order + 1]
    lags = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    predictor = np.linalg.solve(correlation[lags], correlation[1:])
    taps = np.array([1.0, *-predictor])
    peak = max(
        np.abs(_filtered(np.pad(each, (order, 0)), tuple(taps))).max(initial=0)
        for each in recordings()
    )
    scale = _HEADROOM * 32767 / peak * 10 ** (-gain_db / 20)
    return tuple(float(tap) for tap in taps * scale)


def _power_spectrum(samples: np.ndarray) -> np.ndarray:
    """The sum of the power spectra of a recording's frames (Hann's window, half overlapped)."""
    padded = np.pad(samples.astype(np.float64), (0, _FRAME))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[:: _FRAME // 2]
    return np.sum(np.abs(np.fft.rfft(frames * np.hanning(_FRAME))) ** 2, axis=0)
