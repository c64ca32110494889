"""Constraints hold for sounds made for them, and not for others."""

import math

import numpy as np
import pytest

from experiments.steering import constraints
from experiments.steering.constraints import PROFILES, Key, Loudness, OnsetRate, named
from wavenet_jax import InputError

RATE = 8000


def holds(constraint: constraints.Constraint, sound: np.ndarray) -> bool:
    return constraint.score(sound) >= 0


def tones(pitches: tuple[int, ...], seconds: float, rate: int = RATE) -> np.ndarray:
    """Harmonic tones of MIDI pitches together, in [-1, 1]."""
    time_s = np.arange(round(seconds * rate)) / rate
    hertz = [440 * 2 ** ((pitch - 69) / 12) for pitch in pitches]
    sound = sum(np.sin(2 * np.pi * f * k * time_s) / k for f in hertz for k in (1, 2))
    return np.asarray(sound) / (2 * len(pitches))


def pcm(sound: np.ndarray) -> np.ndarray:
    return np.rint(16000 * sound).astype(np.int16)


def cadence(tonic: int, mode: str, rate: int = RATE) -> np.ndarray:
    """Chords of the first, fourth and fifth degree, and the first again."""
    third = 4 if mode == "major" else 3
    triads = [(0, third, 7), (5, 5 + third, 12), (7, 11, 14), (0, third, 7)]
    chords = [tones(tuple(60 + tonic + step for step in triad), 0.3, rate) for triad in triads]
    return pcm(np.concatenate(chords))


def struck(times_a_second: int, seconds: float = 2.0) -> np.ndarray:
    """Tones that begin so often and die away."""
    length = RATE // times_a_second
    decay = np.exp(-np.arange(length) / (0.3 * length))
    notes = [
        tones((60 + 2 * (i % 3),), length / RATE)[:length] * decay
        for i in range(round(times_a_second * seconds))
    ]
    return pcm(np.concatenate(notes))


def swelling(*levels_db: float) -> np.ndarray:
    """2 s of noise whose level follows a contour."""
    noise = np.random.default_rng(0).normal(0, 1, 2 * RATE)
    places = np.linspace(0, 1, len(levels_db))
    contour_db = np.interp(np.linspace(0, 1, len(noise)), places, levels_db)
    return pcm(0.02 * noise * 10 ** (contour_db / 20))


@pytest.mark.parametrize("mode", PROFILES)
def test_a_cadence_is_in_its_key(mode: str) -> None:
    """And neither in the key of its fifth, nor in that of the other mode."""
    other = "minor" if mode == "major" else "major"
    for tonic in range(12):
        sound = cadence(tonic, mode)
        assert holds(Key(tonic, mode, RATE), sound)
        assert not holds(Key((tonic + 7) % 12, mode, RATE), sound)
        assert not holds(Key(tonic, other, RATE), sound)


def test_a_key_at_another_rate() -> None:
    sound = cadence(3, "major", 22050)
    assert holds(Key(3, "major", 22050), sound)
    assert not holds(Key(3, "major", 16000), sound)


def test_the_score_of_a_key_is_how_clear_it_is() -> None:
    """Noise between the chords makes it less so."""
    sound = cadence(2, "minor")
    noise = np.random.default_rng(0).normal(0, 2000, len(sound))
    key = Key(2, "minor", RATE)
    assert key.score(sound) > key.score((sound + noise).astype(np.int16)) > -1


@pytest.mark.parametrize("times_a_second", [2, 4, 8])
def test_onsets_are_counted(times_a_second: int) -> None:
    sound = struck(times_a_second)
    assert constraints.onset_rate(sound, RATE) == pytest.approx(times_a_second, abs=0.5)
    for lowest, highest, wanted in ((0.7, 1.3, True), (1.3, 2, False), (0.2, 0.7, False)):
        rate = OnsetRate(lowest * times_a_second, highest * times_a_second, RATE)
        assert holds(rate, sound) == wanted


def test_the_score_of_onsets_is_the_distance() -> None:
    sound = struck(4)
    rate = constraints.onset_rate(sound, RATE)
    assert OnsetRate(rate - 1, rate + 3, RATE).score(sound) == pytest.approx(1)
    assert OnsetRate(rate + 2, rate + 3, RATE).score(sound) == pytest.approx(-2)


def test_a_contour_of_loudness() -> None:
    """Whatever the mean level."""

    def score(sound: np.ndarray, *levels_db: float) -> float:
        return Loudness(levels_db, 2 * RATE, 2.0, RATE).score(sound)

    rising, arch = swelling(0, 12), swelling(0, 12, 0)
    assert score(rising, 0, 12) > 1 and score(arch, 0, 12, 0) > 1
    assert score(rising // 4, 0, 12) == pytest.approx(score(rising, 0, 12), abs=0.1)
    assert score(rising, 20, 32) == pytest.approx(score(rising, 0, 12))
    for sound, levels_db in (
        (rising, (12, 0)),
        (rising, (0, 0)),
        (arch, (0, 12)),
        (rising, (0, 24)),
    ):
        assert score(sound, *levels_db) < 0


def test_a_beginning_follows_the_beginning_of_a_contour() -> None:
    rising = Loudness((0, 24), 2 * RATE, 2.0, RATE)
    assert holds(rising, swelling(0, 24)[:RATE])
    assert not holds(rising, swelling(0, 24, 24)[: 2 * RATE])
    assert not holds(Loudness((0, 24), RATE, 2.0, RATE), swelling(0, 24)[:RATE])


@pytest.mark.parametrize("text", ["key:D_minor", "onsets:0-99", "loudness:0,0+-99"])
def test_silence_satisfies_nothing_and_short_sounds_are_scored(text: str) -> None:
    constraint = named(text, sample_rate_hz=RATE, num_samples=RATE)
    for sound in (np.zeros(RATE, np.int16), np.ones(RATE, np.int16), np.zeros(1, np.int16)):
        assert constraint.score(sound) == -math.inf and not holds(constraint, sound)
    for sound in (np.full(1, 5000, np.int16), np.full(300, 5000, np.int16), struck(4)[:50]):
        assert np.isfinite(constraint.score(sound))


def test_constraints_by_name() -> None:
    def of(text: str) -> constraints.Constraint:
        return named(text, sample_rate_hz=RATE, num_samples=400)

    assert of("key:D_minor") == Key(2, "minor", RATE)
    assert of("key:B_flat_major") == Key(10, "major", RATE)
    assert of("key:C_flat_major") == Key(11, "major", RATE)
    assert of("key:F_sharp_minor") == Key(6, "minor", RATE)
    assert of("onsets:3-5.5") == OnsetRate(3, 5.5, RATE)
    assert of("loudness:0,-12,3+-2") == Loudness((0, -12, 3), 400, 2, RATE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tempo:3", "--constraint is 'tempo:3': begin it with one of key, onsets, loudness"),
        ("", "--constraint is '': begin it"),
        ("key", "give a tonic and a mode"),
        ("key:H_minor", "'key:H_minor': give a tonic and a mode, as in key:D_minor"),
        ("key:d_minor", "give a tonic"),
        ("onsets:3", "give the fewest and the most a second"),
        ("onsets:5-3", "give the fewest and the most"),
        ("onsets:nan-3", "give the fewest"),
        ("loudness:0,12", "give levels in dB and a tolerance, as in loudness:0,12,0"),
        ("loudness:0+-3", "give levels in dB"),
        ("loudness:0,12+-0", "give levels in dB"),
        ("loudness:0,inf+-3", "give levels in dB"),
        ("loudness:0,12+-3,4", "give levels in dB"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        named(text, sample_rate_hz=RATE, num_samples=400)
