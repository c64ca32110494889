"""Windows as they might have been recorded: louder or softer, and in more noise.

Ko et al. (2015), "Audio augmentation for speech recognition", for the speeds that
`training_windows` takes beside it.
"""

import dataclasses

import numpy as np

from data.errors import DataError


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to a window, all of it anew each time that it is read.

    Attributes:
      gain_db: G; the level changes by as much as G dB, up or down, and by less where the
        window would pass full scale.
      noise_snr_db: From which signal-to-noise ratio noise is added, up to 30 dB more, of a
        spectrum between white and pink; None adds none.
    """

    gain_db: float = 0.0
    noise_snr_db: float | None = None

    def __post_init__(self) -> None:
        if self.gain_db < 0:
            raise DataError(f"gain_db is {self.gain_db}: give 0 for none, or more")

    def __call__(
        self, window: dict[str, np.ndarray], random: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """The window with other `samples`, int16. What is silent at its ends, as where the
        recording begins, stays silent."""
        sounding = np.flatnonzero(window["samples"])
        if not len(sounding):
            return window
        inside = slice(sounding[0], sounding[-1] + 1)
        sound = window["samples"][inside].astype(np.float32)
        if self.noise_snr_db is not None:
            snr_db = self.noise_snr_db + random.uniform(0, 30)
            noise = _noise(len(sound), random.uniform(0, 1), random)
            level = np.sqrt(np.mean(sound**2))
            sound += noise * (level * 10 ** (-snr_db / 20))
        gain = 10 ** (random.uniform(-self.gain_db, self.gain_db) / 20)
        gain = min(gain, max(1.0, 32767 / np.abs(sound).max()))
        samples = window["samples"].copy()
        samples[inside] = np.rint((sound * gain).clip(-32768, 32767))
        return window | {"samples": samples}


def _noise(length: int, tilt: float, random: np.random.Generator) -> np.ndarray:
    """Of mean square 1, its power falling as frequency to the `-tilt`: `[length]`."""
    spectrum = np.fft.rfft(random.normal(size=length))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** (-tilt / 2)
    noise = np.fft.irfft(spectrum, length)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
