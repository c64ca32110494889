"""The filter made from the mel spectrogram: what it leaves of a sound, and its inverse."""

import itertools
import re

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from experiments.common.envelope_taps import EnvelopeTaps
from wavenet_jax import InputError
from wavenet_jax.audio import AudioConfig
from wavenet_jax.envelope import LEVEL, Envelope, InverseEnvelopeFilter
from wavenet_jax.errors import ConfigError

MEL = data.MelConfig(
    sample_rate_hz=8000, hop_samples=40, n_fft=400, num_mels=30, fmin_hz=50.0, fmax_hz=3900.0
)
TAPS = EnvelopeTaps.create(MEL, 16, 1.0)
AUDIO = AudioConfig(sample_rate_hz=8000, envelope=TAPS.envelope)


def vowel(length: int, level: float = 2000.0, seed: int = 0) -> np.ndarray:
    """Noise through resonances, int16."""
    noise = np.random.default_rng(seed).normal(size=length)
    poles = [0.97 * np.exp(2j * np.pi * hz / 8000) for hz in (500, 1500)]
    a = np.poly([*poles, *np.conj(poles)]).real
    sound = scipy.signal.lfilter([1], a, noise)
    return np.rint(level * sound / sound.std()).clip(-32768, 32767).astype(np.int16)


def frames_of(samples: np.ndarray) -> np.ndarray:
    return data.mel_spectrogram(samples, MEL)


@pytest.mark.parametrize("level", [30.0, 3000.0])
def test_what_is_left_is_flat_and_equally_loud(level: float) -> None:
    sound = vowel(16000, level)
    excitation = AUDIO.apply_filter(sound, frames_of(sound))
    assert excitation.std() / 32768 == pytest.approx(LEVEL, rel=0.15)
    flatness = []
    for samples in (sound, excitation):
        _, power = scipy.signal.welch(samples.astype(float), nperseg=256)
        inside = power[3:-6]
        flatness.append(np.exp(np.mean(np.log(inside))) / np.mean(inside))
    assert flatness[0] < 0.3 and flatness[1] > 0.9


def test_taps_predict_a_signal_of_the_spectrum_of_the_bands() -> None:
    """Those of the normal equations of that spectrum, and the rest of its mean square is 1."""
    envelope = Envelope(3, 0.8, 10, bands=(0.0, 0.25, 0.5), log_scale=1.0, log_offset=0.5)
    frame = np.array([0.4, -0.1, -0.9])
    (taps,) = envelope.taps(frame[None])
    log_s = np.interp(np.linspace(0, 0.5, 513), envelope.bands, frame + 0.5)
    r = np.fft.irfft(np.exp(1.6 * log_s))[:4]
    r *= np.exp(-0.5 * (2 * np.pi * 0.0025 * np.arange(4)) ** 2)
    r[0] *= 1.0001
    a = scipy.linalg.solve_toeplitz(r[:3], r[1:])
    np.testing.assert_allclose(taps / taps[0], [1, *-a], atol=1e-9)
    assert taps[0] ** 2 * (r[0] - a @ r[1:]) == pytest.approx(LEVEL**1.6)
    many = np.tile(frame, (1030, 1))
    np.testing.assert_array_equal(envelope.taps(many), np.tile(taps, (1030, 1)))
    assert envelope.taps(many[:0]).shape == (0, 4)
    assert np.all(np.isfinite(envelope.taps(np.array([[1e9, -1e9, 0]]))))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    cuts=st.lists(st.integers(0, 500), max_size=4),
    past=st.integers(0, 130),
)
def test_the_inverse_gives_the_sound_back(seed: int, cuts: list[int], past: int) -> None:
    """In chunks and after a past, with frames that arrive just before they are needed; but for
    the rounding to 16 bits of what is between."""
    sound = vowel(500, seed=seed)
    frames = frames_of(sound)
    excitation = AUDIO.apply_filter(sound, frames)
    whole = AUDIO.inverse_filter(frames=frames)(excitation)
    assert np.abs(whole - sound.astype(int)).max() <= 40  # of 2,000, where taps are long
    later = AUDIO.inverse_filter(sound[:past], frames)(excitation[past:])
    assert np.abs(later - whole[past:].astype(int)).max(initial=0) <= 80
    inverse, taken, parts = InverseEnvelopeFilter(TAPS.envelope), 0, []
    edges = sorted({0, *cuts, 500})
    for start, stop in itertools.pairwise(edges):
        inverse.take(frames[taken : (taken := -(-stop // 40))])
        parts.append(inverse(excitation[start:stop]))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_strength_is_the_share_of_the_envelope(strength: float) -> None:
    """What is left has the sound's spectrum to the power 1 - s."""
    sound = vowel(16000)
    taps = EnvelopeTaps.create(MEL, 30, strength)
    audio = AudioConfig(sample_rate_hz=8000, envelope=taps.envelope)
    left = audio.apply_filter(sound, frames_of(sound))
    spectra = [np.log(scipy.signal.welch(x.astype(float), nperseg=128)[1]) for x in (sound, left)]
    slope, _ = np.polyfit(spectra[0][2:-3], spectra[1][2:-3], 1)
    assert slope == pytest.approx(1 - strength, abs=0.06)
    if not strength:
        assert np.abs(left - sound.astype(int)).max() <= 2


def test_silence_and_steps_of_level_stay_finite() -> None:
    sound = np.concatenate([np.zeros(800, np.int16), vowel(800, 9000.0), np.zeros(800, np.int16)])
    frames = frames_of(sound)
    excitation = AUDIO.apply_filter(sound, frames)
    assert not excitation[:400].any() and not excitation[-400:].any()
    back = AUDIO.inverse_filter(frames=frames)(excitation)
    assert np.corrcoef(back, sound)[0, 1] > 0.999


def test_errors_of_the_excitation_have_the_spectrum_of_the_sound() -> None:
    sound = vowel(16000)
    frames = frames_of(sound)
    excitation = AUDIO.apply_filter(sound, frames).astype(float)
    noise = np.random.default_rng(1).normal(size=len(sound)) * 0.1 * excitation.std()
    noisy = np.rint(excitation + noise).astype(np.int16)
    error = AUDIO.inverse_filter(frames=frames)(noisy) - sound.astype(float)
    spectra = [np.log(scipy.signal.welch(x, nperseg=128)[1]) for x in (sound.astype(float), error)]
    assert np.corrcoef(*spectra)[0, 1] > 0.95


def test_a_corpus_gives_the_same_wherever_it_is_cut(fsdd_dir) -> None:
    corpus = data.load("fsdd", fsdd_dir, "train", filter_taps=TAPS)
    length = int(corpus.lengths[0])
    whole = corpus.samples(0, 0, length)
    recorded = corpus.recorded(0, 0, length)
    np.testing.assert_array_equal(whole, AUDIO.apply_filter(recorded, frames_of(recorded)))
    for start, stop in ((0, 55), (40, 160), (57, length)):
        np.testing.assert_array_equal(corpus.samples(0, start, stop), whole[start:stop])
    slow = corpus.at_speed(0.9)
    played = slow.recorded(0, 0, int(slow.lengths[0]))
    expected = AUDIO.apply_filter(played, frames_of(played))
    np.testing.assert_array_equal(slow.samples(0, 0, len(played)), expected)


def test_windows_of_changed_sound_have_its_own_envelope(fsdd_dir) -> None:
    """A gain changes the mel spectrogram, and leaves the excitation as it is."""
    corpus = data.load("fsdd", fsdd_dir, "train", filter_taps=TAPS)
    options = {"segment_samples": 120, "context_samples": 80, "hop_samples": 40, "batch_size": 4}
    options |= {"seed": 1, "local_features": data.MelFeatures(MEL)}
    plain, changed = (
        next(data.training_windows(corpus, augmentation=augmentation, **options))
        for augmentation in (None, halved)
    )
    assert np.mean(plain["local"] - changed["local"]) > 0.05
    apart = np.abs(plain["samples"] - changed["samples"].astype(int))
    assert np.corrcoef(plain["samples"].ravel(), changed["samples"].ravel())[0, 1] > 0.99
    assert np.median(apart) < 0.05 * plain["samples"].std()


def halved(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    del random
    return np.rint(samples / 2).astype(np.int16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": 0}, "The envelope's order is 0: give at least 1"),
        ({"strength": 1.5}, "The envelope's strength is 1.5: give a number from 0 to 1"),
        ({"order": 101}, "The envelope's order is 101: give at most 100"),
        ({"bands": (0.1,)}, r"The envelope's bands are \(0.1,\): give from 2 to 1024 that rise"),
        ({"bands": (0.2, 0.1)}, "that rise"),
        ({"bands": (0.1, 0.6)}, "give cycles per sample, from 0 to 0.5"),
        ({"log_offset": float("inf")}, "The envelope's log_offset is inf: give a finite number"),
    ],
)
def test_what_is_refused(changes, message: str) -> None:
    fields = {"order": 4, "strength": 1.0, "hop_samples": 40, "bands": (0.1, 0.2)}
    with pytest.raises(ConfigError, match=message):
        Envelope(**(fields | {"log_scale": 1.0, "log_offset": 0.0} | changes))


def test_a_second_filter_and_missing_frames_are_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("give (1.0,) beside an envelope, for there")):
        AudioConfig(sample_rate_hz=8000, filter_taps=(1.0, 0.5), envelope=TAPS.envelope)
    sound = vowel(100)
    with pytest.raises(InputError, match="has 100 samples, and its mel spectrogram 0 frames"):
        AUDIO.apply_filter(sound)
    with pytest.raises(InputError, match="its mel spectrogram 2 frames: give one each 40 samples"):
        AUDIO.apply_filter(sound, frames_of(sound)[:2])
