"""Sounds of a listening test: read alike, degraded for anchors and controls, of one loudness."""

import pathlib
from collections.abc import Sequence

import numpy as np
import scipy.signal

from data.audio import reading
from wavenet_jax import InputError

PAUSE_S = 0.1
"""Digital silence at either end, after the recording's own has been trimmed."""

STOP_BAND_DB = 65.0
TRANSITION_HZ = 500.0
MNRU_Q_DB = 5.0


def read(
    path: pathlib.Path, sample_rate_hz: int, silence_db: float, notices: reading.Notices
) -> np.ndarray:
    """A sound, float64 `[N]` in [-1, 1], mono, trimmed at both ends.

    Args:
      path: of a recording.
      sample_rate_hz: to resample to.
      silence_db: sound this far below the loudest is trimmed.
      notices: collects the changes.

    Raises:
      data.DataError: the recording is unusable.
    """
    samples, _ = reading.read(path, sample_rate_hz=sample_rate_hz, mono=True, notices=notices)
    trimmed = reading.trimmed(path, samples, sample_rate_hz, silence_db, notices)
    return trimmed / float(reading.FULL_SCALE)


def low_passed(samples: np.ndarray, sample_rate_hz: int, pass_hz: float) -> np.ndarray:
    """An anchor of MUSHRA: a sound without what is above `pass_hz` (BS.1534-3, section 5.1).

    A filter of linear phase: within 0.1 dB up to `pass_hz`, below -50 dB from `TRANSITION_HZ`
    above it.

    Args:
      samples: `[N]`.
      sample_rate_hz: of the samples.
      pass_hz: 3,500 for the low anchor, 7,000 for the mid anchor.

    Raises:
      InputError: the rate is too low for there to be anything above.
    """
    half = sample_rate_hz / 2
    if pass_hz + TRANSITION_HZ >= half:
        raise InputError(
            f"At {sample_rate_hz} Hz there is no {pass_hz:.0f} Hz anchor: MUSHRA needs sounds of "
            "at least 16000 Hz, so give --rate_hz=16000 or more, or another --kind."
        )
    taps, beta = scipy.signal.kaiserord(STOP_BAND_DB, TRANSITION_HZ / half)
    taps |= 1
    kernel = scipy.signal.firwin(
        taps, pass_hz + TRANSITION_HZ / 2, window=("kaiser", beta), fs=sample_rate_hz
    )
    return scipy.signal.fftconvolve(samples, kernel, mode="same")


def modulated_noise(
    samples: np.ndarray, random: np.random.Generator, q_db: float = MNRU_Q_DB
) -> np.ndarray:
    """A sound with noise that follows it, `q_db` below it (the MNRU of ITU-T P.810).

    Args:
      samples: `[N]`.
      random: of the noise.
      q_db: ratio of sound to noise.
    """
    return samples * (1 + 10 ** (-q_db / 20) * random.standard_normal(len(samples)))


def of_one_loudness(
    sounds: Sequence[np.ndarray],
    names: Sequence[str],
    sample_rate_hz: int,
    loudness_lufs: float,
) -> tuple[list[np.ndarray], float]:
    """Sounds brought to one integrated loudness (ITU-R BS.1770-4), between pauses.

    Where the peaks of one would clip, all are quieter.

    Args:
      sounds: `[N]` each.
      names: for messages.
      sample_rate_hz: of the sounds.
      loudness_lufs: asked for.

    Returns:
      The sounds, int16, and the loudness they have.

    Raises:
      InputError: a sound is too short or too quiet for its loudness to be measured.
    """
    loudness = np.array([reading.integrated_loudness_lufs(each, sample_rate_hz) for each in sounds])
    for name, length, level in zip(names, map(len, sounds), loudness, strict=True):
        if not np.isfinite(level):
            raise InputError(
                f"{name} has {length / sample_rate_hz:.2f} s of sound once trimmed: a loudness is "
                f"that of more than {reading.LOUDNESS_BLOCK_S} s above -70 LUFS; leave it out."
            )
    peaks = np.array([np.abs(each).max() for each in sounds])
    attainable = loudness + 20 * np.log10(reading.MAX_PEAK / peaks)
    level = float(min(loudness_lufs, attainable.min()))
    pause = round(PAUSE_S * sample_rate_hz)
    gains = 10 ** ((level - loudness) / 20) * reading.FULL_SCALE
    levelled = [
        np.pad(reading.to_int16(each * gain), pause)
        for each, gain in zip(sounds, gains, strict=True)
    ]
    return levelled, level
