"""The filter that takes the spectral envelope from speech, made from its mel spectrogram.

    y[n] = L^s (x[n] - sum_k a_f[k] x[n - k]) / g_f,      f the frame of sample n

a_f predicts a signal whose spectrum is that of the bands of frame f to the power s, the strength
(linear prediction, autocorrelation method), and g_f is the root of the mean square of what it does
not predict. A vocoder that learns y has that part of the envelope from the inverse filter,

    x[n] = y[n] g_f / L^s + sum_k a_f[k] x[n - k]

and what it gets wrong, which is white in y, has the spectrum of the speech around it, to the power
s, in x, and is masked by it. With s = 1 y is the excitation, flat and equally loud in every frame.

A WaveNet of excitations is by Song, Byun and Kang (2019, "ExcitNet vocoder", arXiv:1811.04769), a
filter made from the features alone by Valin and Skoglund (2019, "LPCNet", arXiv:1810.11846); with
the mean spectrum of a corpus it is noise shaping (Tachibana et al., 2018).
"""

import dataclasses

import numpy as np

from wavenet_jax.config import check_max, check_min, check_types
from wavenet_jax.errors import ConfigError

MAX_ORDER, MAX_BANDS = 100, 1024

LEVEL = 0.05
"""L, of full scale, of y with s = 1: peaks of voices are some ten times as high."""

_INTERVALS = 512
"""Of the spectrum between 0 and half the sample rate."""

_SMOOTHING, _WHITE = 0.0025, 1e-4
"""Of the lag window, in cycles per sample; share of a spectrum's power that is added as noise."""

_LOG_LIMIT = 20.0
"""Of ln(amplitude), either way, that a frame is taken to mean."""

_BLOCK = 1024
"""Frames whose taps are computed at a time, to bound memory."""


@dataclasses.dataclass(frozen=True)
class Envelope:
    """How the filter is made from frames of a mel spectrogram `[F, M]`.

    Attributes:
      order: of the prediction.
      strength: s, from 0, which leaves sound as it is, to 1.
      hop_samples: of a frame.
      bands: the middle of each band, in cycles per sample, `[M]`.
      log_scale, log_offset: of noise whose amplitude (standard deviation, of full scale) in a
        band is s, ln s is `log_scale` times the value of the band, and `log_offset`.
    """

    order: int
    strength: float
    hop_samples: int
    bands: tuple[float, ...]
    log_scale: float
    log_offset: float

    def __post_init__(self):
        owner = "The envelope"
        check_types(self, owner)
        check_min(self, owner, order=1, hop_samples=1)
        check_max(self, owner, order=MAX_ORDER)
        if not 0 <= self.strength <= 1:
            raise ConfigError(owner, "strength", self.strength, "give a number from 0 to 1")
        if not (2 <= len(self.bands) <= MAX_BANDS and np.all(np.diff(self.bands) > 0)):
            remedy = f"give from 2 to {MAX_BANDS} that rise"
            raise ConfigError(owner, "bands", self.bands, remedy)
        if not 0 <= self.bands[0] < self.bands[-1] <= 0.5:
            raise ConfigError(owner, "bands", self.bands, "give cycles per sample, from 0 to 0.5")
        for name in ("log_scale", "log_offset"):
            if not np.isfinite(getattr(self, name)):
                raise ConfigError(owner, name, getattr(self, name), "give a finite number")

    def taps(self, frames: np.ndarray) -> np.ndarray:
        """The taps of each frame, `[F, M]` to float64 `[F, order + 1]`: that of x[n] first."""
        blocks = [self._taps(frames[i : i + _BLOCK]) for i in range(0, len(frames), _BLOCK)]
        return np.concatenate([np.zeros((0, self.order + 1)), *blocks])

    def _taps(self, frames: np.ndarray) -> np.ndarray:
        frequencies = np.linspace(0, 0.5, _INTERVALS + 1)
        places = np.interp(frequencies, self.bands, np.arange(len(self.bands)))
        left = np.minimum(places.astype(int), len(self.bands) - 2)
        share = places - left
        logs = self.log_scale * frames.astype(np.float64) + self.log_offset
        logs = self.strength * logs.clip(-_LOG_LIMIT, _LOG_LIMIT)
        power = np.exp(2 * (logs[:, left] * (1 - share) + logs[:, left + 1] * share))
        lags = np.arange(self.order + 1)
        window = np.exp(-0.5 * (2 * np.pi * _SMOOTHING * lags) ** 2)
        window[0] += _WHITE
        correlation = np.fft.irfft(power)[:, : self.order + 1] * window
        matrices = correlation[:, np.abs(np.subtract.outer(lags[:-1], lags[:-1]))]
        predictors = np.linalg.solve(matrices, correlation[:, 1:, None])[..., 0]
        unpredicted = correlation[:, 0] - np.sum(predictors * correlation[:, 1:], axis=1)
        taps = np.concatenate([np.ones((len(frames), 1)), -predictors], axis=1)
        return taps * (LEVEL**self.strength / np.sqrt(unpredicted))[:, None]


class InverseEnvelopeFilter:
    """The inverse filter, for audio that arrives in chunks, and its frames as they arrive.

    Values beyond 16 bits, which generated audio may have, are clipped.
    """

    def __init__(self, envelope: Envelope, past: np.ndarray | None = None) -> None:
        """Args:
        envelope: of the filter.
        past: the samples before the first chunk, from the first frame on; none by default.
        """
        self._envelope = envelope
        self._time = 0 if past is None else len(past)
        self._taps = np.zeros((0, envelope.order + 1))
        self._first = 0  # the frame of which the taps are the first
        newest = np.zeros(0) if past is None else np.asarray(past, np.float64)[::-1]
        self._last = np.pad(newest, (0, envelope.order))[: envelope.order]  # the newest first

    def take(self, frames: np.ndarray) -> None:
        """Takes the next frames, `[F, M]`, from the first of all on."""
        self._taps = np.concatenate([self._taps, self._envelope.taps(frames)])

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """int16 `[N]` to int16 `[N]`, once their frames have been taken."""
        import scipy.signal  # slow to import

        hop, done, parts = self._envelope.hop_samples, 0, [np.zeros(0)]
        while done < len(samples):
            frame = (self._time + done) // hop
            end = min(len(samples), (frame + 1) * hop - self._time)
            taps = self._taps[frame - self._first]
            state = scipy.signal.lfiltic([1.0], taps, self._last)
            part, _ = scipy.signal.lfilter([1.0], taps, samples[done:end], zi=state)
            self._last = np.concatenate([part[::-1], self._last])[: self._envelope.order]
            parts.append(part)
            done = end
        self._time += done
        passed = min(self._time // hop - self._first, len(self._taps))
        self._taps, self._first = self._taps[passed:], self._first + passed
        return np.clip(np.rint(np.concatenate(parts)), -32768, 32767).astype(np.int16)
