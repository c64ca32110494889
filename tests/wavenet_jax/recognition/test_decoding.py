"""Decoders find what trying every sequence finds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_jax import InputError
from wavenet_jax.recognition import decoding
from wavenet_jax.recognition.decoding import BigramLM, Segment


def logs(random: np.random.Generator, *shape: int) -> np.ndarray:
    scores = random.normal(size=shape) * 2
    return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)


def made_model(random: np.random.Generator, num_classes: int, longest: int = 3) -> BigramLM:
    with_end = logs(random, num_classes + 1, num_classes + 1)
    return BigramLM(
        log_initial=with_end[-1, :-1],
        log_bigram=with_end[:-1, :-1],
        log_final=with_end[:-1, -1],
        log_priors=logs(random, num_classes),
        min_frames=random.integers(1, longest + 1, num_classes),
    )


def tilings(num_frames: int, num_classes: int, least: np.ndarray):
    """Every sequence of segments of so many frames."""
    if not num_frames:
        yield []
    for label in range(num_classes):
        for length in range(least[label], num_frames + 1):
            for rest in tilings(num_frames - length, num_classes, least):
                shifted = [Segment(k, a + length, b + length) for k, a, b in rest]
                yield [Segment(label, 0, length), *shifted]


def score(log_posteriors, model, segments, prior_weight, lm_weight, penalty) -> float:
    total, before = 0.0, None
    for label, start, end in segments:
        total += (log_posteriors - prior_weight * model.log_priors)[start:end, label].sum()
        log_p = model.log_initial if before is None else model.log_bigram[before]
        total += lm_weight * log_p[label] - penalty
        before = label
    return total + lm_weight * model.log_final[before]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(2, 3),
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.5, 1.0]), st.floats(-1, 2)),
)
def test_viterbi_finds_the_best_of_all(seed, num_frames, num_classes, weights) -> None:
    random = np.random.default_rng(seed)
    log_posteriors = logs(random, num_frames, num_classes)
    model = made_model(random, num_classes)
    names = ("prior_weight", "lm_weight", "insertion_penalty")
    found = decoding.viterbi(log_posteriors, model, **dict(zip(names, weights, strict=True)))
    every = list(tilings(num_frames, num_classes, model.min_frames))
    if not every:
        assert [(each.start, each.end) for each in found] == [(0, num_frames)]
        return
    assert found in every
    scores = [score(log_posteriors, model, each, *weights) for each in every]
    assert score(log_posteriors, model, found, *weights) == pytest.approx(max(scores), abs=1e-6)


def test_viterbi_of_nothing_is_nothing() -> None:
    random = np.random.default_rng(0)
    assert decoding.viterbi(np.zeros((0, 3)), made_model(random, 3)) == []


def test_a_class_shorter_than_its_minimum_is_not_found() -> None:
    """By hand: a single frame of class 1 among 0 is not found if its minimum is two."""
    sure, model = np.log([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]]), even_model(2)
    free = decoding.viterbi(sure, model, insertion_penalty=0.1)
    assert free == [Segment(0, 0, 1), Segment(1, 1, 2), Segment(0, 2, 3)] == decoding.greedy(sure)
    lasting = BigramLM(**{**vars(model), "min_frames": np.array([1, 2])})
    assert decoding.viterbi(sure, lasting, insertion_penalty=0.1) == [Segment(0, 0, 3)]


def even_model(num_classes: int) -> BigramLM:
    zeros = np.zeros(num_classes)
    return BigramLM(
        zeros, np.zeros((num_classes, num_classes)), zeros, zeros, zeros.astype(int) + 1
    )


def test_collapse_by_hand() -> None:
    posteriors = np.log(np.eye(3)[[2, 2, 0, 0, 0, 1, 2]] * 0.8 + 0.1)
    assert decoding.greedy(posteriors) == [
        Segment(2, 0, 2),
        Segment(0, 2, 5),
        Segment(1, 5, 6),
        Segment(2, 6, 7),
    ]
    assert decoding.greedy(posteriors[:0]) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 4))
def test_alignment_is_the_best_of_all(seed: int, number: int, more: int) -> None:
    random = np.random.default_rng(seed)
    log_posteriors = logs(random, number + more, 3)
    labels = list(random.integers(3, size=number))
    found = decoding.align(log_posteriors, labels)
    assert [each.label for each in found] == labels

    def total(edges) -> float:
        parts = zip(labels, itertools.pairwise([0, *edges, number + more]), strict=True)
        return sum(log_posteriors[a:b, label].sum() for label, (a, b) in parts)

    every = itertools.combinations(range(1, number + more), number - 1)
    assert total([each.start for each in found[1:]]) == pytest.approx(max(map(total, every)))


def test_alignment_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputError, match=r"^The recording has 2 frames, and the text 3 phones"):
        decoding.align(np.zeros((2, 4)), [0, 1, 2])
    with pytest.raises(InputError, match=r"^There are no phones to align: give at least one"):
        decoding.align(np.zeros((2, 4)), [])
    with pytest.raises(InputError, match=r"2 frames, and the text 2 phones, which need 3"):
        decoding.ctc_align(np.zeros((2, 4)), [1, 1])


def sequence_of(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 2), st.booleans())
def test_beam_finds_the_likeliest_sequence_of_all(seed, num_frames, num_classes, modelled) -> None:
    """Over every path: with a beam as wide as there are sequences."""
    random = np.random.default_rng(seed)
    log_posteriors = logs(random, num_frames, num_classes + 1)
    model = made_model(random, num_classes) if modelled else None
    of_sequence: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(num_classes + 1), repeat=num_frames):
        sequence = sequence_of(path, num_classes)
        value = log_posteriors[np.arange(num_frames), path].sum()
        of_sequence[sequence] = np.logaddexp(of_sequence.get(sequence, -np.inf), value)
    for sequence in of_sequence:
        of_sequence[sequence] -= 0.3 * len(sequence)
        if model is not None and sequence:
            steps = itertools.pairwise(sequence)
            bigrams = model.log_initial[sequence[0]] + sum(model.log_bigram[a, b] for a, b in steps)
            of_sequence[sequence] += 0.7 * (bigrams + model.log_final[sequence[-1]])
    found = decoding.ctc_beam(
        log_posteriors, model, width=1000, lm_weight=0.7, insertion_penalty=0.3
    )
    assert of_sequence[tuple(found)] == pytest.approx(max(of_sequence.values()))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_alignment_of_ctc_is_the_best_of_all(seed: int, num_frames: int) -> None:
    random = np.random.default_rng(seed)
    log_posteriors = logs(random, num_frames, 3)
    paths = list(itertools.product(range(3), repeat=num_frames))
    sequence = sequence_of(paths[random.integers(len(paths))], 2)
    found = decoding.ctc_align(log_posteriors, sequence)
    assert tuple(each.label for each in found) == sequence
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    path = np.full(num_frames, 2)
    for label, start, end in found:
        path[start:end] = label
    assert sequence_of(tuple(path), 2) == sequence

    def total(path) -> float:
        return float(log_posteriors[np.arange(num_frames), path].sum())

    best = max(total(each) for each in paths if sequence_of(each, 2) == sequence)
    assert total(path) == pytest.approx(best)


def test_greedy_ctc_by_hand() -> None:
    posteriors = np.log(np.eye(3)[[2, 0, 0, 2, 0, 1, 1]] * 0.8 + 0.1)
    assert decoding.ctc_greedy(posteriors) == [
        Segment(0, 1, 3),
        Segment(0, 4, 5),
        Segment(1, 5, 7),
    ]
    assert decoding.ctc_beam(posteriors) == [0, 0, 1]
    assert decoding.ctc_beam(posteriors[:1]) == []


def test_a_beam_has_a_width() -> None:
    with pytest.raises(InputError, match="width is 0: give at least 1"):
        decoding.ctc_beam(np.zeros((1, 2)), width=0)


def test_counts_by_hand() -> None:
    """Classes 0 and 1 occur, class 2 does not; an unlabelled segment is left out."""
    utterances = [
        [Segment(0, 0, 4), Segment(1, 4, 5), Segment(-1, 5, 6), Segment(0, 6, 9)],
        [Segment(0, 0, 2)],
    ]
    model = decoding.BigramLM.fit(utterances, 3, max_min_frames=3, shortest_share=0.0)
    every = np.concatenate([model.log_bigram, model.log_final[:, None]], axis=1)
    np.testing.assert_allclose(np.exp(every).sum(axis=1), 1)
    last = np.logaddexp.reduce(model.log_initial)
    assert last < 0  # what remains is the empty sequence
    assert model.log_initial.argmax() == 0 and model.log_bigram[1].argmax() == 0
    assert np.isfinite(every).all()
    # Frames, one more each: 4 + 3 + 2 + 1, 1 + 1, 1.
    np.testing.assert_allclose(np.exp(model.log_priors), np.array([10, 2, 1]) / 13)
    assert model.min_frames.tolist() == [2, 1, 1]
    # Of 4 that follow class 0, two ends and a 1, of 2 kinds; unigram counts 3, 1, 0 and 2.
    unigram = np.array([4, 2, 1, 3]) / 10
    expected = (np.array([0, 1, 0, 2]) + 2 * unigram) / (3 + 2)
    np.testing.assert_allclose(np.exp(every[0]), expected)
    again = BigramLM.from_dict(model.to_dict())
    np.testing.assert_array_equal(again.log_bigram, model.log_bigram)
    with pytest.raises(InputError, match="no labelled phone"):
        decoding.BigramLM.fit([[Segment(-1, 0, 1)]], 3)
