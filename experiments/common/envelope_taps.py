"""The filter of a vocoder's sound, made from its mel spectrogram frame by frame."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

import data
from data.audio.mel import LN_MAX, LN_MIN
from wavenet_jax.envelope import Envelope


@dataclasses.dataclass(frozen=True)
class EnvelopeTaps:
    """The taps of the filter that takes a recording's envelope from it (`data`'s `FrameTaps`).

    Attributes:
      mel: the mel spectrogram.
      envelope: how taps are made from it.
    """

    mel: data.MelConfig
    envelope: Envelope

    @classmethod
    def create(cls, mel: data.MelConfig, order: int, strength: float) -> "EnvelopeTaps":
        """Behind a Hann window white noise of standard deviation s has magnitudes of
        s sqrt(3 pi n_fft / 32) on average, and the weights of a band have the sum n_fft / rate."""
        of_one = math.sqrt(3 * math.pi * mel.n_fft / 32) * mel.n_fft / mel.sample_rate_hz
        scale = (LN_MAX - LN_MIN) / 2
        envelope = Envelope(
            order=order,
            strength=strength,
            hop_samples=mel.hop_samples,
            bands=tuple(hz / mel.sample_rate_hz for hz in mel.band_hz),
            log_scale=scale,
            log_offset=LN_MIN + scale - math.log(of_one),
        )
        return cls(mel, envelope)

    @property
    def order(self) -> int:
        """Of the filter."""
        return self.envelope.order

    @property
    def hop_samples(self) -> int:
        """Of a frame."""
        return self.envelope.hop_samples

    def of_recording(self, example: Mapping[str, Any]) -> np.ndarray:
        """Of an example with `audio`, int16 `[N]`."""
        return self.of_frames(data.mel_spectrogram(np.asarray(example["audio"]), self.mel))

    def of_frames(self, frames: np.ndarray) -> np.ndarray:
        """Of frames `[F, M]`, float64 `[F, order + 1]`."""
        return self.envelope.taps(frames)
