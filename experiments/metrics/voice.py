"""Noise of one recording, measured without a reference: between harmonics, and under the peaks."""

import numpy as np
from numpy.typing import ArrayLike

import data
from experiments.metrics.perceptual import UndefinedError, as_float

HOP_S = 0.005
MIN_PITCH_HZ = 75.0
PERIODS_PER_WINDOW = 1.0
MARGIN_S = 0.1
SILENCE_THRESHOLD = 0.1
VOICED_ABOVE = 0.45

WINDOW_S = 0.032
SPEECH_RANGE_DB = 40.0
LINE_DB = -40.0
FLOOR_DB = -100.0


def harmonics_to_noise_db(
    samples: ArrayLike, sample_rate_hz: int, *, reference: ArrayLike | None = None
) -> np.ndarray:
    """The harmonics-to-noise ratio of each voiced frame, in dB: `10 log10(r / (1 - r))`, where r
    is how well the sound correlates with itself a period later.

    Boersma (1993), "Accurate short-term analysis of the fundamental frequency and the
    harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17, by Praat, with what it
    recommends and has as its defaults (Sound: To Harmonicity (cc), minimum pitch 75 Hz, silence
    threshold 0.1, 1 period per window). A frame, every 5 ms, is voiced where Praat finds a pitch of
    60 to 400 Hz with its default threshold of voicing, 0.45: in the reference, where there is
    one. Without one a frame so noisy that it is no longer periodic is not counted, which flatters
    a noisy voice. The rate matters: compare sounds of one rate.

    Args:
      samples: `[T]`, int16 or floats in [-1, 1].
      sample_rate_hz: of them.
      reference: the recording that the sound is a copy of, aligned with it, `[T]`.

    Returns:
      dB, of the voiced frames alone, `[F]`.

    Raises:
      UndefinedError: no frame is voiced, or `praat-parselmouth` is not installed.
    """
    sound = as_float(samples)
    judged = sound if reference is None else as_float(reference)
    f0_hz = f0_of(judged, sample_rate_hz)
    if not np.any(f0_hz):
        raise UndefinedError("no frame is voiced")
    import parselmouth

    margin = round(MARGIN_S * sample_rate_hz)
    harmonicity = parselmouth.Sound(np.pad(sound, margin), sample_rate_hz).to_harmonicity_cc(
        time_step=HOP_S,
        minimum_pitch=MIN_PITCH_HZ,
        silence_threshold=SILENCE_THRESHOLD,
        periods_per_window=PERIODS_PER_WINDOW,
    )
    times_s = (np.flatnonzero(f0_hz) + 0.5) * HOP_S + margin / sample_rate_hz
    ratios_db = np.array([harmonicity.get_value(time) for time in times_s])
    ratios_db = ratios_db[np.nan_to_num(ratios_db, nan=-200.0) > -200]  # -200: silent to Praat
    if not len(ratios_db):
        raise UndefinedError("no frame is voiced")
    return ratios_db


def f0_of(samples: ArrayLike, sample_rate_hz: int) -> np.ndarray:
    """F0 of each 5 ms in Hz, 0 where unvoiced, with Praat's default threshold of voicing, `[F]`.

    Raises:
      UndefinedError: `praat-parselmouth` is not installed.
    """
    try:
        return data.f0(as_float(samples), sample_rate_hz, voiced_above=VOICED_ABOVE)
    except data.DataError as error:
        raise UndefinedError(str(error)) from None


def noise_level_db(samples: ArrayLike, sample_rate_hz: int) -> np.ndarray:
    """The level of what lies 40 dB under the peak of each frame's spectrum, in dB of that peak.

    A frame has 32 ms, every 5 ms, with a Hann window. It counts where the peak of its power
    spectrum is within 40 dB of the highest of all frames: where there is speech. Its bins' levels
    relative to its own peak are limited to at most -40 dB (above it are harmonics and formants,
    whatever their level) and at least -100 dB; the mean of the limited levels is its noise level.
    It is -40 dB where noise fills the spectrum up to 40 dB under the peak, lower the emptier the
    spectrum is there, does not change with a gain, and only rises with added noise. The rate
    matters, for the higher bands of speech are emptier: compare sounds of one rate.

    Args:
      samples: `[T]`, int16 or floats in [-1, 1].
      sample_rate_hz: of them.

    Returns:
      dB, of the frames with speech, `[F]`.

    Raises:
      UndefinedError: the sound is silent, or shorter than a frame.
    """
    sound = as_float(samples)
    window_samples, hop_samples = (max(2, round(s * sample_rate_hz)) for s in (WINDOW_S, HOP_S))
    if len(sound) < window_samples:
        raise UndefinedError(f"the sound is shorter than {1000 * WINDOW_S:.0f} ms")
    frames = np.lib.stride_tricks.sliding_window_view(sound, window_samples)[::hop_samples]
    powers = np.abs(np.fft.rfft(frames * np.hanning(window_samples))) ** 2
    peaks = powers.max(axis=1)
    if not peaks.max() > 0:
        raise UndefinedError("the sound is silent")
    speech = peaks >= peaks.max() * 10 ** (-SPEECH_RANGE_DB / 10)
    relative = powers[speech] / peaks[speech, None]
    levels_db = 10 * np.log10(np.clip(relative, 10 ** (FLOOR_DB / 10), 10 ** (LINE_DB / 10)))
    return levels_db.mean(axis=1)
