"""Spectral matching: what is generated gets the spectral envelope that it was to have.

A vocoder is given its mel spectrogram, and of a text a network predicts one
(`experiments.common.prosody`). Where the mel spectrogram of what was generated differs, each frame
of it is filtered by the difference: noise falls that is where no energy should be, and consonants
have the level that they should have.
"""

from typing import NamedTuple

import numpy as np
import scipy  # whose parts are imported where they are used

import data
from data.audio.mel import LN_MAX, LN_MIN

ROUNDS = 8
"""A filter's frames overlap, so that what is left of the difference is filtered again."""

LOWEST_DB, HIGHEST_DB = -80.0, 24.0
"""By which a band may change."""

DB = 20 / np.log(10) * (LN_MAX - LN_MIN) / 2
"""Decibels of a difference of 1 between two mel spectrograms."""


class Spectrum(NamedTuple):
    """A mel spectrogram that a sound is to have.

    Attributes:
      frames: `[F, M]`, from the sound's first sample on.
      mel: its parameters.
      smoothing_hz: standard deviation of the Gaussian by which it and that of the sound are
        smoothed over frequency before they are compared, 0 for none. So one that was predicted
        leaves the gaps between harmonics, which are wider than low bands, as they are.
    """

    frames: np.ndarray
    mel: data.MelConfig
    smoothing_hz: float = 0.0


def match_spectrum(samples: np.ndarray, spectrum: Spectrum, strength: float) -> np.ndarray:
    """A sound, filtered so that its mel spectrogram is the one that is wanted.

    Args:
      samples: int16 `[N]`; of more samples than the frames cover the last frame is that of all.
      spectrum: that it is to have.
      strength: the share of the difference, in decibels, from 0, for none, to 1.

    Returns:
      int16 `[N]`.
    """
    if not strength or not len(samples) or not len(spectrum.frames):
        return samples
    rate, hop = spectrum.mel.sample_rate_hz, spectrum.mel.hop_samples
    length = spectrum.mel.n_fft + spectrum.mel.n_fft % 2
    window = scipy.signal.windows.hann(length, sym=False)
    transform = scipy.signal.ShortTimeFFT(window, max(1, length // 4), rate)
    padding = max(0, length - len(samples))  # no transform is of less than a frame
    matched = np.pad(samples.astype(np.float64), (0, padding))
    now = _envelope(_to_int16(matched), spectrum)
    frames = spectrum.frames[np.minimum(np.arange(len(now)), len(spectrum.frames) - 1)]
    apart = strength * (_smoothed(frames, spectrum) - now)
    wanted = now + apart.clip(LOWEST_DB / DB, HIGHEST_DB / DB)
    # Of frame k the middle is sample k hop + hop / 2.
    middles = transform.t(len(matched)) * rate
    places = ((middles - hop / 2) / hop).clip(0, len(now) - 1)
    before = np.floor(places).astype(int)
    after, share = np.minimum(before + 1, len(now) - 1), (places - before)[:, None]
    for done in range(ROUNDS):
        if done:
            now = _envelope(_to_int16(matched), spectrum)
        apart_db = DB * (wanted - now)
        in_time = apart_db[before] * (1 - share) + apart_db[after] * share
        gain_db = [np.interp(transform.f, spectrum.mel.band_hz, of_bands) for of_bands in in_time]
        gains = 10 ** (np.array(gain_db).T / 20)
        matched = transform.istft(transform.stft(matched) * gains, k1=len(matched))
    return _to_int16(matched[: len(samples)])


def _envelope(samples: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    return _smoothed(data.mel_spectrogram(samples, spectrum.mel), spectrum)


def _smoothed(frames: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    if not spectrum.smoothing_hz:
        return frames
    hz = np.array(spectrum.mel.band_hz)
    kernel = np.exp(-0.5 * ((hz[:, None] - hz) / spectrum.smoothing_hz) ** 2)
    amplitudes = 10 ** (DB * frames / 20)
    return 20 * np.log10(amplitudes @ (kernel / kernel.sum(axis=0))) / DB


def _to_int16(sound: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
