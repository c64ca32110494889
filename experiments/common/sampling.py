"""How programs draw recordings from a model."""

import dataclasses
from typing import Any

import numpy as np

from experiments.common.comb_filter import comb_filter
from experiments.common.run import Run
from experiments.common.spectral_matching import Spectrum, match_spectrum
from experiments.common.spectral_subtraction import subtract_noise
from wavenet_jax import InputError


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How recordings are drawn from a model, beside the seed.

    Attributes:
      temperature: of the distribution of a sample.
      voiced_temperature: instead of it in voiced frames, for a model whose local condition tells
        them (FFTNet, Jin et al., 2018); None for the same.
      top_p: as for `wavenet_jax.generate`.
      spectral_subtraction: of what is generated (`spectral_subtraction.subtract_noise`), 0 for
        none.
      comb_filter: strength of the filter of the pitch (`comb_filter.comb_filter`) on what is
        generated, 0 for none.
      spectral_matching: how far what is generated gets the spectral envelope of its mel spectrogram
        (`spectral_matching.match_spectrum`), 0 for not at all.
      backend, precision: as for `wavenet_jax.generate`.
    """

    temperature: float = 1.0
    voiced_temperature: float | None = None
    top_p: float = 1.0
    spectral_subtraction: float = 0.0
    comb_filter: float = 0.0
    spectral_matching: float = 0.0
    backend: str = "auto"
    precision: str = "float32"

    def at(self, temperature: float) -> "Sampling":
        """The same, at another temperature."""
        return dataclasses.replace(self, temperature=temperature)

    def temperatures(self, run: Run, local_condition: np.ndarray | None) -> Any:
        """The temperature, or that of each frame `[B, F]` of a local condition `[B, F, D]`.

        Raises:
          InputError: the model's local condition does not tell voiced frames.
        """
        if self.voiced_temperature is None:
            return self.temperature
        if not run.has_pitch or local_condition is None:
            features = run.config.local_condition.features
            raise InputError(
                f"--voiced_temperature is {self.voiced_temperature}, and the model's local "
                f"features {features!r} do not tell voiced frames: leave it out, or train with "
                "features that end with F0, such as 'phones'."
            )
        is_voiced = local_condition[..., -1] > 0.5  # the last of `data.pitch_features`
        return np.where(is_voiced, self.voiced_temperature, self.temperature)

    @property
    def has_filter(self) -> bool:
        """Whether `filtered` may change a sound."""
        return any(getattr(self, name) for name in FILTERS)

    def filtered(
        self, samples: np.ndarray, sample_rate_hz: int, spectrum: Spectrum | None = None
    ) -> np.ndarray:
        """What was generated, int16 `[N]`, less its noise: a whole sound, of any length.

        Args:
          samples: int16 `[N]`.
          sample_rate_hz: of the sound.
          spectrum: that it is to have, for `spectral_matching`.

        Raises:
          data.DataError: `praat-parselmouth`, which the comb filter needs, is not installed.
        """
        samples = subtract_noise(samples, sample_rate_hz, self.spectral_subtraction)
        samples = comb_filter(samples, sample_rate_hz, self.comb_filter)
        if spectrum is not None:
            samples = match_spectrum(samples, spectrum, self.spectral_matching)
        return samples


FILTERS = ("spectral_subtraction", "comb_filter", "spectral_matching")
"""The fields of `Sampling` that change a whole sound, in the order in which they do."""

AS_IT_IS = Sampling()
"""From the model's own distribution, at full precision."""
