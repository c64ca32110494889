"""Ways of steering: what is chosen, where chunks go on from, and what is counted."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import soundfile

from experiments.common import restore
from experiments.common.sampling import Sampling
from experiments.steering import search
from experiments.tasks import generation
from wavenet_jax import InputError, scoring

LENGTH, CHUNK = 150, 50


@dataclasses.dataclass
class Stub:
    """A constraint that is a function; it keeps what it scored."""

    function: Callable[[np.ndarray], float]
    scored: list[np.ndarray] = dataclasses.field(default_factory=list)

    def score(self, sound: np.ndarray) -> float:
        self.scored.append(sound)
        return self.function(sound)


def always(sound: np.ndarray) -> float:
    return 1.0


def never(sound: np.ndarray) -> float:
    return -1.0


def low(sound: np.ndarray) -> float:
    """The lower the mean the better."""
    return -float(sound.mean()) - 1e6


@pytest.fixture(scope="module")
def trained(trained_dir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(trained_dir)


@pytest.fixture(scope="module")
def prime() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3000, 120).astype(np.int16)


@pytest.fixture(scope="module")
def source(trained, prime) -> search.Source:
    return search.Source(trained, prime=prime, condition=trained.run.audio.named_condition("low"))


def drawn(source: search.Source, point, attempts: Sequence[int], length: int = CHUNK):
    return source.draw(point, seed=5, index=2, attempts=attempts, num_samples=length)


def candidates(source: search.Source, number: int) -> np.ndarray:
    return search.candidates(source, seed=5, index=2, num_candidates=number, num_samples=LENGTH)


def by_chunks(source: search.Source, constraint: Stub, number: int, **options) -> search.Steered:
    given = {"num_samples": LENGTH, "chunk_samples": CHUNK, "max_backtracks": 0} | options
    return search.chunk_by_chunk(
        source, constraint, seed=5, index=2, num_candidates=number, **given
    )


def test_the_first_candidate_is_ordinary_sampling(trained, source, prime, tmp_path) -> None:
    soundfile.write(tmp_path / "prime.wav", prime, 8000)
    paths = generation.sample(
        trained,
        out=tmp_path,
        num_samples=3,
        seconds=LENGTH / 8000,
        seed=5,
        prime=str(tmp_path / "prime.wav"),
        labels=["low"],
    )
    written, _ = soundfile.read(paths[2], dtype="int16")
    first, second = candidates(source, 2)
    np.testing.assert_array_equal(source.sound(first), written[len(prime) :])
    assert not np.array_equal(first, second)


def test_the_best_is_chosen(source) -> None:
    among = candidates(source, 4)
    means = [source.sound(codes).mean() for codes in among]
    best = int(np.argmin(means))
    assert best > 0  # so that the first is not it
    made = search.chosen(source, Stub(low), among)
    np.testing.assert_array_equal(made.codes, among[best])
    np.testing.assert_array_equal(made.sound, source.sound(among[best]))
    assert made.score == low(made.sound) and not made.holds
    assert made.drawn_samples == 4 * LENGTH
    same = search.chosen(source, Stub(always), among)
    np.testing.assert_array_equal(same.codes, among[0])
    assert same.holds


def test_the_likeliest_is_chosen(source) -> None:
    among = candidates(source, 4)
    bits = source.bits(among)
    made = search.chosen(source, Stub(low), among, bits=bits)
    np.testing.assert_array_equal(made.codes, among[int(np.argmin(bits))])
    assert made.score == low(made.sound)
    assert len(np.unique(bits)) == 4


def test_bits_are_those_after_the_prime(trained, source, prime) -> None:
    """Of the whole less of the prime alone."""
    among = candidates(source, 3)
    run, condition = trained.run, trained.run.audio.named_condition("low")

    def total(sound: np.ndarray) -> float:
        recording = {"recording": "", "samples": sound, "global": condition}
        (found,) = scoring.score(run.wavenet, trained.params, [recording])
        return found.bits

    for codes, bits in zip(among, source.bits(among), strict=True):
        whole = total(np.concatenate([prime, source.sound(codes)]))
        assert bits == pytest.approx((whole - total(prime)) / LENGTH, abs=1e-4)


def test_one_candidate_a_chunk_is_ordinary_sampling(source) -> None:
    made = by_chunks(source, Stub(always), 1)
    np.testing.assert_array_equal(made.codes, candidates(source, 1)[0])
    assert (made.drawn_samples, made.backtracks) == (LENGTH, 0)


def test_chunks_go_on_from_the_best(source) -> None:
    """Also a last one that is shorter."""
    made = by_chunks(source, Stub(low), 3, num_samples=LENGTH - 10)
    point, parts = source.start, []
    for length in (CHUNK, CHUNK, CHUNK - 10):
        branches = drawn(source, point, range(3), length)
        means = [source.sound(np.concatenate([*parts, codes])).mean() for codes in branches.codes]
        best = int(np.argmin(means))
        point = branches.end(best)
        parts.append(branches.codes[best])
    np.testing.assert_array_equal(made.codes, np.concatenate(parts))
    assert made.drawn_samples == 3 * (LENGTH - 10)


def test_a_failed_chunk_sends_back_to_where_the_one_before_began(source) -> None:
    """The constraint fails for what the second chunk is drawn as at first."""
    first = drawn(source, source.start, range(2))
    failed = {
        source.sound(np.concatenate([first.codes[0], codes])).tobytes()
        for codes in drawn(source, first.end(0), range(2)).codes
    }
    assert len(failed) == 2

    def score(sound: np.ndarray) -> float:
        return never(sound) if sound.tobytes() in failed else always(sound)

    made = by_chunks(source, Stub(score), 2, max_backtracks=5)
    # The first chunk is drawn again, with further attempts, and so is the second after it.
    again = drawn(source, source.start, range(2, 4))
    second = drawn(source, again.end(0), range(2, 4))
    third = drawn(source, second.end(0), range(2))
    parts = [again.codes[0], second.codes[0], third.codes[0]]
    np.testing.assert_array_equal(made.codes, np.concatenate(parts))
    assert made.holds and made.backtracks == 1
    assert made.drawn_samples == 2 * CHUNK * 5
    np.testing.assert_array_equal(made.sound, source.sound(made.codes))


def test_backtracks_end(source) -> None:
    """Then the best is taken; the first chunk is drawn again in its own place."""
    constraint = Stub(never)
    made = by_chunks(source, constraint, 2, max_backtracks=3)
    assert made.backtracks == 3 and not made.holds and len(made.sound) == LENGTH
    assert made.drawn_samples == 2 * CHUNK * (3 + 3)
    begun = [sound for sound in constraint.scored if len(sound) == CHUNK]
    assert len({sound.tobytes() for sound in begun}) == 8
    assert made.score == -1.0


def test_silence_is_never_preferred(source) -> None:
    among = candidates(source, 4)
    spared = source.sound(among[2])

    def score(sound: np.ndarray) -> float:
        return -5.0 if np.array_equal(sound, spared) else -math.inf

    made = search.chosen(source, Stub(score), among)
    np.testing.assert_array_equal(made.sound, spared)


def test_drawing_options_count(trained, prime) -> None:
    condition = trained.run.audio.named_condition("low")

    def codes(drawing: Sampling) -> np.ndarray:
        chosen = search.Source(trained, prime=prime, condition=condition, drawing=drawing)
        return candidates(chosen, 2)

    likeliest = codes(Sampling(temperature=0.0))
    np.testing.assert_array_equal(likeliest[0], likeliest[1])
    np.testing.assert_array_equal(codes(Sampling(top_p=1e-6)), likeliest)


def test_what_is_filtered_continues_its_prime(trained, source, prime) -> None:
    """A model of filtered sound: codes are of what the filter makes, sound is filtered back."""
    audio = dataclasses.replace(trained.run.audio, filter_taps=(1.0, -0.5))
    filtering = trained._replace(run=dataclasses.replace(trained.run, audio=audio))
    condition = audio.named_condition("low")
    filtered = search.Source(filtering, prime=prime, condition=condition)
    (codes,) = candidates(filtered, 1)
    (chunk,) = filtering.generator.generate_batch(
        [LENGTH], seed=5, indices=[2], prime=prime, global_condition=condition[None]
    )
    np.testing.assert_array_equal(filtered.sound(codes), chunk[0])
    assert not np.array_equal(chunk[0], source.sound(candidates(source, 1)[0]))


def test_refusals(trained, source, prime) -> None:
    with pytest.raises(InputError, match="num_candidates is 0: give at least 1"):
        candidates(source, 0)
    with pytest.raises(InputError, match="chunk_samples is 0: give at least 1"):
        by_chunks(source, Stub(always), 1, chunk_samples=0)
    with pytest.raises(InputError, match="max_backtracks is -1: give a number from 0 on"):
        by_chunks(source, Stub(always), 1, max_backtracks=-1)
    with pytest.raises(InputError, match="global"):
        search.Source(trained, prime=prime)
