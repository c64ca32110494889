"""Mel spectrograms of other toolkits, by the name of their convention, for this project's vocoders.

    wavenet_jax   of this project (`data.mel_spectrogram`): ln(mel) as -1 to about 1, floor 1e-5
    espnet        log10(mel), floor 1e-10, 80 bands from 80 to 7,600 Hz: the recipes of ESPnet and
                  of kan-bayashi's ParallelWaveGAN, before their normalisation
    r9y9          the same from 125 Hz: r9y9's wavenet_vocoder since 2019
    tacotron2     ln(mel), floor 1e-5, 80 bands from 0 to 8,000 Hz: NVIDIA's Tacotron 2, WaveGlow

In all of them mel is the amplitude (not the power) behind a periodic Hann window, in Slaney's bands
of unit area, of sound with full scale 1. So each is converted to this project's exactly, above the
higher of both floors. Frame k of the others is centred on sample k * hop_samples, half a hop before
that of this project: `lead_samples` is what a vocoder generates before their first sample.

The values of a file show its scale: of recordings at usual levels the natural logarithm of the
amplitudes has a median near -6 and a standard deviation near 2, and a logarithm to another base, or
mapped to another range, read as that has others. Not told apart by that: ln(mel) and the logarithm
to base 10 of the power, which differ by a factor of 0.87.
"""

import dataclasses
import math
import os
import pathlib
import types
from collections.abc import Mapping

import numpy as np

from data.audio import reading
from data.audio.mel import LN_MAX, LN_MIN, MelConfig, mel_amplitudes, mel_spectrogram
from data.errors import DataError, first_line

OWN = "wavenet_jax"
"""The convention of this project."""

MEDIAN_LN, SPREAD_LN = -6.0, 2.0
"""Median and standard deviation of ln(mel), not below 1e-5, of recordings."""
_MEDIAN_UNIT, _SPREAD_UNIT = 2.0, 0.4
MAX_DISTANCE = 2.5
"""What is further from these, in `_Scale.distance`, is in no scale that is known."""

MAX_VALUE = 1e6
"""No scale has larger ones."""

_LN_10 = math.log(10)
_LN_DB = _LN_10 / 20


@dataclasses.dataclass(frozen=True)
class _Scale:
    """How values hold amplitudes: ln(mel) = ln_at_zero + ln_per_unit * value.

    Attributes:
      title: For messages.
      ln_per_unit, ln_at_zero: Of the equation above.
      lowest, highest: The range that values are clipped to.
    """

    title: str
    ln_per_unit: float
    ln_at_zero: float
    lowest: float
    highest: float = math.inf

    def ln(self, values: np.ndarray) -> np.ndarray:
        """ln(mel) of values."""
        return self.ln_at_zero + self.ln_per_unit * values

    def of_ln(self, ln_mel: np.ndarray) -> np.ndarray:
        """Values of ln(mel)."""
        values = (ln_mel - self.ln_at_zero) / self.ln_per_unit
        return np.clip(values, self.lowest, self.highest)

    def distance(self, values: np.ndarray, config: MelConfig) -> float:
        """Distance of median and standard deviation from those of recordings, read in this scale.

        Infinite where a value is out of range, or above what sound of full scale can reach.
        """
        margin = 1e-3
        loudest_ln = math.log(config.n_fft**2 / (2 * config.sample_rate_hz))
        ln_mel = np.maximum(self.ln(values), LN_MIN)
        in_range = self.lowest - margin <= values.min() and values.max() <= self.highest + margin
        if not in_range or ln_mel.max() > loudest_ln or not (spread := float(ln_mel.std())):
            return math.inf
        of_median = (float(np.median(ln_mel)) - MEDIAN_LN) / _MEDIAN_UNIT
        return math.hypot(of_median, math.log(spread / SPREAD_LN) / _SPREAD_UNIT)


_OWN = _Scale("ln(mel) from -1 to 1", (LN_MAX - LN_MIN) / 2, (LN_MAX + LN_MIN) / 2, lowest=-1.0)
_LOG_10 = _Scale("log10(mel)", _LN_10, 0.0, lowest=-10.0)
_LN = _Scale("ln(mel)", 1.0, 0.0, lowest=LN_MIN)
_NOT_CONVERTED = (
    # r9y9's wavenet_vocoder before 2019, behind another window; Rayhane-mamah's Tacotron-2, with
    # pre-emphasis; and what the statistics of a corpus normalise.
    _Scale("decibels from 0 to 1", 100 * _LN_DB, -80 * _LN_DB, lowest=0.0, highest=1.0),
    _Scale(
        "decibels from -4 to 4 or a normalised mel", 12.5 * _LN_DB, -30 * _LN_DB, -4.0, highest=4.0
    ),
)
"""Scales that are recognised, and not converted."""


@dataclasses.dataclass(frozen=True)
class Convention:
    """A toolkit's mel spectrogram.

    Attributes:
      scale: Of the values.
      fixed: The fields of `MelConfig` that the toolkit's recipes share, with their values.
      centred: Whether frame k is centred on sample k * hop_samples, with the sound reflected
        at its ends; else as `data.mel_spectrogram` does.
    """

    scale: _Scale
    fixed: Mapping[str, float]
    centred: bool = True


CONVENTIONS = types.MappingProxyType(
    {
        OWN: Convention(_OWN, {}, centred=False),
        "espnet": Convention(_LOG_10, {"num_mels": 80, "fmin_hz": 80.0, "fmax_hz": 7600.0}),
        "r9y9": Convention(
            _LOG_10,
            {
                "hop_samples": 256,
                "n_fft": 1024,
                "num_mels": 80,
                "fmin_hz": 125.0,
                "fmax_hz": 7600.0,
            },
        ),
        "tacotron2": Convention(
            _LN,
            {
                "sample_rate_hz": 22050,
                "hop_samples": 256,
                "n_fft": 1024,
                "num_mels": 80,
                "fmin_hz": 0.0,
                "fmax_hz": 8000.0,
            },
        ),
    }
)
"""By name."""


def check_fits(config: MelConfig, convention: str) -> None:
    """Refuses a vocoder's mel spectrogram that has other frames or bands than a convention's.

    Raises:
      DataError: a field that the convention fixes differs, with all that do.
    """
    fixed = CONVENTIONS[convention].fixed
    differ = [name for name, value in fixed.items() if getattr(config, name) != value]
    if differ:
        has = ", ".join(f"{name}={getattr(config, name):g}" for name in differ)
        wants = ", ".join(f"{name}={fixed[name]:g}" for name in differ)
        raise DataError(
            f"the model's mel spectrogram has {has}, and that of {convention} {wants}: use a "
            "model trained with these, or a mel spectrogram of the model's"
        )


def lead_samples(config: MelConfig, convention: str) -> int:
    """Samples that a vocoder generates before the first one of the sound, half a hop or none."""
    return config.hop_samples // 2 if CONVENTIONS[convention].centred else 0


def num_samples(num_frames: int, config: MelConfig, convention: str) -> int:
    """Samples of the sound that a vocoder generates from so many frames."""
    return num_frames * config.hop_samples - lead_samples(config, convention)


def read(path: str | os.PathLike[str], config: MelConfig, convention: str) -> np.ndarray:
    """A mel spectrogram from a file of numpy.

    Args:
      path: Of the npy file: floats, `[F, M]`, or `[M, F]` where F is not M.
      config: The vocoder's mel spectrogram.
      convention: That of the file, a key of `CONVENTIONS`.

    Returns:
      Float32 `[F, M]`, in this project's scale.

    Raises:
      DataError: the file is damaged, or holds no finite mel spectrogram of so many bands; the
        convention has other frames or bands; or the values are in another scale.
    """
    check_fits(config, convention)
    values = _values(pathlib.Path(path), config.num_mels)
    _check_scale(path, values, config, convention)
    return _converted(values, convention)


def converted_spectrogram(samples: np.ndarray, config: MelConfig, convention: str) -> np.ndarray:
    """The mel spectrogram of a recording by a convention's formula, converted to this project's.

    Args:
      samples: Int16 `[N]`, N > 1.
      config: The vocoder's mel spectrogram.
      convention: A key of `CONVENTIONS`.

    Returns:
      Float32 `[F, M]`; F = ceil(N / hop_samples) of this project's convention, of the others
      N // hop_samples + 1.

    Raises:
      DataError: the convention has other frames or bands; `samples` have another type or shape.
    """
    check_fits(config, convention)
    if not CONVENTIONS[convention].centred:
        return mel_spectrogram(samples, config)
    if samples.dtype != np.int16 or samples.ndim != 1 or len(samples) < 2:
        raise DataError(
            f"samples have type {samples.dtype} and shape {samples.shape}: give int16 [N], N > 1"
        )
    sound = samples.astype(np.float32) / reading.FULL_SCALE
    padded = np.pad(sound, config.n_fft // 2, mode="reflect")
    with np.errstate(divide="ignore"):  # the scale has a floor
        ln_mel = np.log(mel_amplitudes(padded, config))
    return _converted(CONVENTIONS[convention].scale.of_ln(ln_mel), convention)


def _converted(values: np.ndarray, convention: str) -> np.ndarray:
    """Values of a convention in this project's scale, float32."""
    ln_mel = CONVENTIONS[convention].scale.ln(values.astype(np.float64))
    return _OWN.of_ln(ln_mel).astype(np.float32)


def _values(path: pathlib.Path, num_mels: int) -> np.ndarray:
    """The finite floats `[F, M]` of a file."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the path")
    try:
        # A map of the file, since its header may claim more than it holds. No pickles.
        values = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy parses the header as Python's literals
        raise DataError(
            f"{path} is no whole npy file ({first_line(error)}): write it with numpy.save"
        ) from None
    if not np.issubdtype(values.dtype, np.floating):
        raise DataError(f"{path} holds {values.dtype}: save one array of floats")
    if values.ndim != 2 or not values.size or num_mels not in values.shape:
        raise DataError(
            f"{path} has shape {values.shape}: give frames of the model's {num_mels} bands, "
            f"[F, {num_mels}], F > 0"
        )
    if values.shape[1] != num_mels:
        values = values.T
    frames = values.astype(np.float64)  # float16 has no MAX_VALUE
    if bad := int(np.count_nonzero(~(np.abs(frames) < MAX_VALUE))):
        raise DataError(
            f"{path} has {bad} values that are NaN or infinite, or beyond {MAX_VALUE:g}: make it "
            "anew"
        )
    return frames


def _check_scale(
    path: str | os.PathLike[str], values: np.ndarray, config: MelConfig, convention: str
) -> None:
    """Refuses values that are more likely in another scale than the convention's."""
    named = CONVENTIONS[convention].scale
    scales = dict.fromkeys((named, *(each.scale for each in CONVENTIONS.values())))
    distances = {scale: scale.distance(values, config) for scale in (*scales, *_NOT_CONVERTED)}
    nearest = min(distances, key=lambda scale: distances[scale])  # the named one of equals
    if nearest is named and distances[named] <= MAX_DISTANCE:
        return
    names = [name for name, each in CONVENTIONS.items() if each.scale is nearest]
    looks = nearest.title
    remedy = f"make it by the formula of one of {', '.join(CONVENTIONS)}, not normalised"
    if distances[nearest] > MAX_DISTANCE:
        looks = "no recording's in a scale that is known"
    elif names:
        remedy = f"give --mel_convention={' or '.join(names)}"
    raise DataError(
        f"{path} holds values from {values.min():.3g} to {values.max():.3g} with median "
        f"{np.median(values):.3g}, which looks like {looks}, not like the {named.title} of "
        f"{convention}: {remedy}"
    )
