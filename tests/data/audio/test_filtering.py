"""The filter of the sound that models learn, and the corpus that gives filtered sound."""

import fractions

import numpy as np
import pytest

import data
from data.audio.filtering import (
    NO_FILTER,
    apply_filter,
    noise_shaping_taps,
    pre_emphasis_taps,
)
from data.errors import DataError

LOUD = np.random.default_rng(0).integers(-32768, 32768, 3000).astype(np.int16)


def spoken(corpus: data.Corpus) -> list[np.ndarray]:
    return [corpus.recorded(i, 0, int(length)) for i, length in enumerate(corpus.lengths)]


def mean_spectrum_db(sounds: list[np.ndarray]) -> np.ndarray:
    """Of frames of 256 samples, in 16 bands."""
    frames = np.concatenate([x[: len(x) // 256 * 256].reshape(-1, 256) for x in sounds])
    power = np.mean(np.abs(np.fft.rfft(frames * np.hanning(256))) ** 2, axis=0)
    return 10 * np.log10(power[:128].reshape(16, 8).mean(1))


# -- the filter -------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.97])
def test_pre_emphasis_is_its_equation(coefficient: float) -> None:
    """In exact arithmetic, to the nearest whole number, without overflow at full scale."""
    x = np.concatenate([[-32768, 32767, -32768], LOUD[:300]]).astype(np.int16)
    taps = pre_emphasis_taps(coefficient)
    y = apply_filter(np.pad(x, (len(taps) - 1, 0)), taps, "it")
    assert y.dtype == np.int16
    c = fractions.Fraction(coefficient)
    wanted = [(int(x[n]) - c * int(x[n - 1])) / (1 + c) for n in range(1, len(x))]
    assert max(abs(int(a) - b) for a, b in zip(y[1:], wanted, strict=True)) <= 0.5 + 1e-9


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_noise_shaping_flattens_the_mean_spectrum(fsdd_dir, strength: float) -> None:
    """The range of the mean spectrum shrinks to the power 1 - strength."""
    sounds = spoken(data.load("fsdd", fsdd_dir, "train"))
    taps = noise_shaping_taps(lambda: sounds, strength=strength, order=24)
    shaped = [apply_filter(np.pad(each, (24, 0)), taps, "it") for each in sounds]
    before, after = mean_spectrum_db(sounds), mean_spectrum_db(shaped)
    # Where the recordings have sound: 60 dB below their peak the filter stops.
    has_sound = before > before.max() - 50
    assert has_sound.sum() > 8
    before, after = before[has_sound], after[has_sound]
    kept = (1 - strength) * (before - before.mean())
    assert np.abs(after - after.mean() - kept).max() < 8
    assert np.ptp(before) > 20


def test_noise_shaping_is_linear_prediction() -> None:
    """Of sound from an all-pole filter it finds that filter."""
    x = np.random.default_rng(0).normal(0, 1, 40_000)
    for n in range(2, len(x)):
        x[n] += 1.6 * x[n - 1] - 0.8 * x[n - 2]
    sound = np.rint(x * 1000).astype(np.int16)
    taps = np.array(noise_shaping_taps(lambda: [sound], strength=1.0, order=4))
    np.testing.assert_allclose(taps / taps[0], [1, -1.6, 0.8, 0, 0], atol=0.05)


def test_no_strength_is_a_gain(fsdd_dir) -> None:
    sounds = spoken(data.load("fsdd", fsdd_dir, "train"))
    taps = noise_shaping_taps(lambda: sounds, strength=0.0, order=4)
    np.testing.assert_allclose(np.array(taps) / taps[0], [1, 0, 0, 0, 0], atol=1e-9)


@pytest.mark.parametrize("gain_db", [0.0, 12.0])
def test_the_loudest_recording_uses_the_range(fsdd_dir, gain_db: float) -> None:
    """Its peak is 3 dB below full scale, with the gain that augmentation may give it."""
    sounds = spoken(data.load("fsdd", fsdd_dir, "train"))
    taps = noise_shaping_taps(lambda: sounds, strength=0.5, order=16, gain_db=gain_db)
    shaped = [apply_filter(np.pad(each, (16, 0)), taps, "it") for each in sounds]
    peak = max(np.abs(each.astype(int)).max() for each in shaped)
    assert peak * 10 ** (gain_db / 20) == pytest.approx(0.7 * 32767, rel=1e-2)


def test_silent_recordings_have_no_spectrum() -> None:
    with pytest.raises(DataError, match="noise_shaping needs the spectrum of the training rec"):
        noise_shaping_taps(lambda: [np.zeros(900, np.int16)], strength=0.5, order=4)


# -- the corpus -------------------------------------------------------------------


@pytest.mark.parametrize("taps", [(0.6, -0.4), (0.5, -0.3, 0.1, 0.05)])
def test_a_corpus_gives_it_wherever_it_is_cut(fsdd_dir, taps: tuple[float, ...]) -> None:
    plain = data.load("fsdd", fsdd_dir, "train")
    filtered = data.load("fsdd", fsdd_dir, "train", filter_taps=taps)
    length = int(plain.lengths[1])
    whole = apply_filter(np.pad(plain.samples(1, 0, length), (len(taps) - 1, 0)), taps, "it")
    np.testing.assert_array_equal(filtered.samples(1, 0, length), whole)
    for start, stop in ((57, 300), (1, 40), (2, 3)):
        np.testing.assert_array_equal(filtered.samples(1, start, stop), whole[start:stop])
    np.testing.assert_array_equal(filtered.recording(1)["audio"], plain.recording(1)["audio"])
    again = plain.some(3).filtered(taps)
    assert (again.filter_taps, len(again)) == (taps, 3)
    assert plain.filter_taps == filtered.filtered(NO_FILTER).filter_taps == NO_FILTER


def test_a_louder_recording_is_refused_by_name(fsdd_dir) -> None:
    corpus = data.load("fsdd", fsdd_dir, "train", filter_taps=(50.0, -1.0))
    name = corpus.names[0]
    with pytest.raises(DataError, match=f"samples of {name} pass full scale in the noise-shaping"):
        corpus.samples(0, 0, int(corpus.lengths[0]))
