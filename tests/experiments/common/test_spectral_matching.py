"""Spectral matching: the envelope that a sound is to have, and what stays as it is."""

import numpy as np
import pytest
import scipy.signal

import data
from experiments.common.sampling import AS_IT_IS, FILTERS, Sampling
from experiments.common.spectral_matching import DB, Spectrum, match_spectrum
from experiments.tasks.generation import require_spectra
from wavenet_jax import InputError

RATE = 8000
MEL = data.MelConfig(RATE, 40, 256, 30, 0.0, RATE / 2)


def pulses(length: int = 8000) -> np.ndarray:
    """A voice of 100 Hz: pulses through two resonances, int16."""
    sound = np.zeros(length)
    sound[::80] = 1
    for hz in (600, 1800):
        pole = 0.96 * np.exp(2j * np.pi * hz / RATE)
        sound = scipy.signal.lfilter([1], np.poly([pole, np.conj(pole)]).real, sound)
    return np.rint(12000 * sound / np.abs(sound).max()).astype(np.int16)


def noisy(sound: np.ndarray, level: float = 300.0) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=len(sound)) * level
    return np.rint(sound + noise).clip(-32768, 32767).astype(np.int16)


def apart_db(sound: np.ndarray, spectrum: Spectrum) -> float:
    return float(np.mean(np.abs(DB * (data.mel_spectrogram(sound, MEL) - spectrum.frames))))


@pytest.fixture(scope="module")
def spectrum() -> Spectrum:
    return Spectrum(data.mel_spectrogram(pulses(), MEL), MEL)


def test_a_noisy_voice_gets_its_envelope_and_keeps_its_pulses(spectrum: Spectrum) -> None:
    sound, heard = pulses(), noisy(pulses())
    matched = match_spectrum(heard, spectrum, 1.0)
    assert (len(matched), matched.dtype) == (len(sound), np.int16)
    assert apart_db(matched, spectrum) < 0.09 * apart_db(heard, spectrum)
    assert np.corrcoef(matched, sound)[0, 1] > np.corrcoef(heard, sound)[0, 1] > 0.9
    half = match_spectrum(heard, spectrum, 0.5)
    assert apart_db(matched, spectrum) < apart_db(half, spectrum) < apart_db(heard, spectrum)


def test_a_spectrum_without_harmonics_leaves_those_of_the_sound() -> None:
    """That of a whisper and a voice of 250 Hz with some noise, smoothed: gaps are not filled."""
    mel = data.MelConfig(RATE, 40, 512, 40, 0.0, RATE / 2)
    noise = np.random.default_rng(1).normal(size=8000)
    whisper = np.rint(1000 * noise).astype(np.int16)
    comb = np.zeros(8000)
    comb[::32] = 6000
    voice = np.rint(comb + 20 * noise[::-1]).astype(np.int16)
    wanted = data.mel_spectrogram(whisper, mel)

    def gaps_db(smoothing_hz: float) -> float:
        """What lies between the harmonics below 1 kHz, beside what lies on them."""
        matched = match_spectrum(voice, Spectrum(wanted, mel, smoothing_hz), 1.0)
        power = np.square(np.abs(np.fft.rfft(matched[1000:7000])))
        hz = np.fft.rfftfreq(6000, 1 / RATE)
        away = np.abs(hz - 250 * np.rint(hz / 250))
        low = (hz > 200) & (hz < 1000)
        return 10 * np.log10(power[low & (away > 80)].mean() / power[low & (away < 40)].mean())

    assert gaps_db(250.0) < gaps_db(0.0) - 6


def test_what_has_the_envelope_stays(spectrum: Spectrum) -> None:
    sound = pulses()
    difference = match_spectrum(sound, spectrum, 1.0) - sound.astype(int)
    assert np.abs(difference).max() <= 2
    assert match_spectrum(sound, spectrum, 0.0) is sound


def test_a_filter_is_in_its_time(spectrum: Spectrum) -> None:
    """Where the wanted sound is silent, what is generated becomes so, and nowhere else."""
    sound = pulses()
    wanted = sound.copy()
    wanted[4000:6000] = 0
    matched = match_spectrum(sound, Spectrum(data.mel_spectrogram(wanted, MEL), MEL), 1.0)
    power = np.square(matched.astype(float))
    assert power[4300:5700].mean() < 1e-4 * power[:3700].mean()
    difference = matched[:3600] - sound[:3600].astype(int)
    assert np.sqrt(np.mean(np.square(difference))) < 0.02 * sound.std()


@pytest.mark.parametrize("length", [0, 1, 100, 255, 256, 1000])
def test_any_length(length: int, spectrum: Spectrum) -> None:
    """Shorter than a frame, silent, or longer than what is known of its spectrum."""
    for sound in (pulses()[:length], np.zeros(length, np.int16)):
        for number in (0, 1, len(spectrum.frames)):
            of_some = Spectrum(spectrum.frames[:number], MEL)
            matched = match_spectrum(sound, of_some, 1.0)
            assert (len(matched), matched.dtype) == (length, np.int16)
    assert not match_spectrum(np.zeros(length, np.int16), spectrum, 1.0).any()


def test_as_the_last_filter_of_a_sampling(spectrum: Spectrum) -> None:
    heard = noisy(pulses())
    both = Sampling(spectral_subtraction=1.0, spectral_matching=1.0)
    quieter = Sampling(spectral_subtraction=1.0).filtered(heard, RATE)
    expected = match_spectrum(quieter, spectrum, 1.0)
    np.testing.assert_array_equal(both.filtered(heard, RATE, spectrum), expected)
    np.testing.assert_array_equal(both.filtered(heard, RATE), quieter)
    assert not AS_IT_IS.has_filter
    for name in FILTERS:
        assert Sampling(**{name: 1.0}).has_filter


def test_without_a_spectrum_it_is_refused(spectrum: Spectrum) -> None:
    with pytest.raises(InputError, match="--spectral_matching is 0.5, and there is no spectrum"):
        require_spectra(Sampling(spectral_matching=0.5), None)
    require_spectra(Sampling(spectral_matching=0.5), [spectrum])
    require_spectra(AS_IT_IS, None)
