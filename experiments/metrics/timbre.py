"""Vectors of whole sounds for classifiers of who or what sounds, and at which pitch."""

from collections.abc import Iterable, Sequence

import librosa
import numpy as np

from data.audio import reading
from data.audio.cepstra import mel_cepstra

NUM_CEPSTRA = 20
WINDOW_S = 0.032
HOP_S = 0.008

LOWEST_MIDI = 48
BINS_PER_OCTAVE = 24
MIN_S = 1.0
"""Of a sound, made longer with zeros, for the octaves that librosa computes at lower rates."""
RANGE_DB = 60.0

NUM_HARMONICS = 10
SPECTRUM_S = 0.256
"""Of a frame, which tells the harmonics of the lowest notes apart."""


def cepstral_statistics(sounds: Iterable[np.ndarray], sample_rate_hz: int) -> np.ndarray:
    """Of each sound, int16 `[N]`, the mean and the standard deviation of its mel cepstra and of
    their differences from frame to frame, float32 `[sounds, 80]`.

    The mean over the recording is subtracted from coefficient 0, the loudness.
    """
    n_fft = max(4, round(WINDOW_S * sample_rate_hz))
    vectors = []
    for samples in sounds:
        padded = np.pad(samples / np.float32(reading.FULL_SCALE), (0, max(0, n_fft - len(samples))))
        cepstra = mel_cepstra(
            padded,
            sample_rate_hz,
            num_cepstra=NUM_CEPSTRA,
            num_mels=2 * NUM_CEPSTRA,
            n_fft=n_fft,
            hop_samples=max(1, round(HOP_S * sample_rate_hz)),
        )
        cepstra[:, 0] -= cepstra[:, 0].mean()
        changes = np.diff(cepstra, axis=0, append=cepstra[-1:])
        parts = [f(x, axis=0) for x in (cepstra, changes) for f in (np.mean, np.std)]
        vectors.append(np.concatenate(parts))
    return np.stack(vectors)


def constant_q_profiles(sounds: Iterable[np.ndarray], sample_rate_hz: int) -> np.ndarray:
    """Of each sound, int16 `[N]`, the mean level of each quarter tone from C3 up to 0.9 of half
    the rate (librosa's constant-Q transform), in dB of the loudest, not below -60 dB, `[sounds,
    bins]`.

    The loudness of a sound does not matter, nor that of its parts: the levels are those of the
    mean magnitude over the sound.
    """
    fmin_hz = float(librosa.midi_to_hz(LOWEST_MIDI))
    octaves = np.log2(0.45 * sample_rate_hz / fmin_hz)
    shortest = round(MIN_S * sample_rate_hz)
    vectors = []
    for samples in sounds:
        padded = np.pad(
            samples / np.float32(reading.FULL_SCALE), (0, max(0, shortest - len(samples)))
        )
        magnitudes = np.abs(
            librosa.cqt(
                padded,
                sr=sample_rate_hz,
                fmin=fmin_hz,
                n_bins=int(BINS_PER_OCTAVE * octaves),
                bins_per_octave=BINS_PER_OCTAVE,
            )
        ).mean(axis=1)
        vectors.append(librosa.amplitude_to_db(magnitudes, ref=np.max, top_db=RANGE_DB))
    return np.stack(vectors)


def harmonic_profiles(
    sounds: Iterable[np.ndarray], sample_rate_hz: int, pitches: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Of each sound, int16 `[N]`, the levels of its first ten harmonics, in dB of the loudest, not
    below -60 dB, `[sounds, 10]`.

    A harmonic is the highest value within half a semitone of its frequency in the mean of the
    sound's magnitude spectra; one beyond half the rate is at the lowest level. Noise that is spread
    over the spectrum changes them little.

    Args:
      sounds: each a note.
      sample_rate_hz: of the sounds.
      pitches: of each, MIDI numbers.
    """
    n_fft = 2 * round(SPECTRUM_S * sample_rate_hz / 2)
    frequencies_hz = librosa.fft_frequencies(sr=sample_rate_hz, n_fft=n_fft)
    half_semitone = 2 ** (0.5 / 12)
    profiles = []
    for samples, pitch in zip(sounds, pitches, strict=True):
        padded = np.pad(samples / np.float32(reading.FULL_SCALE), (0, max(0, n_fft - len(samples))))
        spectra = librosa.stft(padded, n_fft=n_fft, hop_length=n_fft // 4, center=False)
        spectrum = np.abs(spectra).mean(axis=1)
        harmonics = np.arange(1, NUM_HARMONICS + 1) * librosa.midi_to_hz(pitch)
        begin = np.searchsorted(frequencies_hz, harmonics / half_semitone)
        end = np.searchsorted(frequencies_hz, harmonics * half_semitone)
        magnitudes = np.array(
            [spectrum[i:j].max(initial=0.0) for i, j in zip(begin, end, strict=True)]
        )
        profiles.append(librosa.amplitude_to_db(magnitudes, ref=np.max, top_db=RANGE_DB))
    return np.stack(profiles)
