"""Random changes of recordings for training: gain, noise, and phases where there is no pitch.

With the speeds of `training_windows` gain and noise are those of Ko et al. (2015), "Audio
augmentation for speech recognition"; the phases are ours.
"""

import dataclasses
import math

import numpy as np
import scipy.signal

from data.errors import DataError

POLES = 0.6, 0.95  # radii; the nearer to 1, the longer a filter rings: 0.95 for 2 ms at 16 kHz
MAX_ALL_PASS = 32


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Gain, noise and phases, drawn anew for each stretch of sound.

    Attributes:
      gain_db: G; the level changes by up to G dB, up or down, and by less where the sound
        would pass full scale.
      noise_snr_db: The lowest signal-to-noise ratio of added noise; the highest is 30 dB more.
        Its spectrum is between white and pink. None adds none.
      unvoiced_all_pass: number of random all-pass filters of order 2 on what is unvoiced. They
        leave its spectrum as it is and give each frequency another phase, so that the consonants
        of a synthesiser, the same samples each time, cannot be learned by heart. Each delays them
        by 2 samples on average over frequencies.
    """

    gain_db: float = 0.0
    noise_snr_db: float | None = None
    unvoiced_all_pass: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.gain_db < math.inf:
            raise DataError(f"gain_db is {self.gain_db}: give 0 for none, or a positive number")
        if self.noise_snr_db is not None and not math.isfinite(self.noise_snr_db):
            raise DataError(f"noise_snr_db is {self.noise_snr_db}: give a number, or None for none")
        if not 0 <= self.unvoiced_all_pass <= MAX_ALL_PASS:
            raise DataError(
                f"unvoiced_all_pass is {self.unvoiced_all_pass}: give 0 for none, or a number up "
                f"to {MAX_ALL_PASS}"
            )

    def __call__(
        self,
        samples: np.ndarray,
        random: np.random.Generator,
        voicing: np.ndarray | None = None,
    ) -> np.ndarray:
        """Changes a stretch of a recording.

        Args:
          samples: int16 `[N]`.
          random: draws the changes.
          voicing: 0 where it is unvoiced, to 1, `[N]` (`pitch.voicing`); for `unvoiced_all_pass`.

        Returns:
          Augmented samples, int16 `[N]`. Zeros at both ends stay zeros.
        """
        sounding = np.flatnonzero(samples)
        if not len(sounding):
            return samples
        inside = slice(sounding[0], sounding[-1] + 1)
        sound = samples[inside].astype(np.float32)
        if self.unvoiced_all_pass:
            assert voicing is not None
            voiced = sound * voicing[inside]
            filters = _all_pass(self.unvoiced_all_pass, random)
            sound = voiced + scipy.signal.sosfilt(filters, sound - voiced).astype(np.float32)
        if self.noise_snr_db is not None:
            snr_db = self.noise_snr_db + random.uniform(0, 30)
            noise = _noise(len(sound), random.uniform(0, 1), random)
            level = np.sqrt(np.mean(sound**2))
            sound += noise * (level * 10 ** (-snr_db / 20))
        gain = 10 ** (random.uniform(-self.gain_db, self.gain_db) / 20)
        gain = min(gain, max(1.0, 32767 / np.abs(sound).max()))
        augmented = samples.copy()
        augmented[inside] = np.rint((sound * gain).clip(-32768, 32767))
        return augmented


def _all_pass(number: int, random: np.random.Generator) -> np.ndarray:
    """Second-order sections `[number, 6]` of all-pass filters, their poles anywhere in a ring."""
    angle = random.uniform(0, np.pi, number)
    radius = random.uniform(*POLES, number)
    ones, middle = np.ones(number), -2 * radius * np.cos(angle)
    return np.stack([radius**2, middle, ones, ones, middle, radius**2], axis=1)


def _noise(length: int, tilt: float, random: np.random.Generator) -> np.ndarray:
    """Noise `[length]` of mean square 1, its power falling as frequency to the `-tilt`."""
    spectrum = np.fft.rfft(random.normal(size=length))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** (-tilt / 2)
    noise = np.fft.irfft(spectrum, length)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
