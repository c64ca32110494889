"""Estimates and tests, by hand, against published values and against plain ways."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from experiments.listening import statistics


def test_alpha_is_that_of_the_published_example() -> None:
    """Four coders, twelve units, with gaps: Krippendorff (2011), interval data."""
    nan = np.nan
    scores = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
        ]
    )
    assert statistics.krippendorff_alpha(scores) == pytest.approx(0.849, abs=5e-4)


def test_alpha_at_its_ends() -> None:
    random = np.random.default_rng(0)
    one = random.integers(1, 6, (1, 50)).astype(float)
    assert statistics.krippendorff_alpha(np.repeat(one, 4, axis=0)) == 1
    chance = random.integers(1, 6, (20, 500)).astype(float)
    assert abs(statistics.krippendorff_alpha(chance)) < 0.02
    assert np.isnan(statistics.krippendorff_alpha(np.ones((3, 4))))
    assert np.isnan(statistics.krippendorff_alpha(np.where(np.eye(3) > 0, 1.0, np.nan)))


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_is_bonferronis_for_the_least(ps: list[float]) -> None:
    corrected = statistics.holm(ps)
    assert corrected[int(np.argmin(ps))] == pytest.approx(min(1, len(ps) * min(ps)))
    for p, q in zip(ps, corrected, strict=True):
        assert p <= q <= min(1, len(ps) * p) or (q <= 1 and q >= p)
    order = np.argsort(ps, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


def test_the_sign_test_counts_listeners_and_texts_once() -> None:
    """Six of six listeners give 1/32; a text more than the others does not help."""
    net = np.ones((6, 9))
    assert statistics.sign_test(net) == pytest.approx(2 / 2**6)
    assert statistics.sign_test(-net) == pytest.approx(2 / 2**6)
    net[:, 0] = np.nan
    assert statistics.sign_test(net) == pytest.approx(2 / 2**6)
    # All answers are one listener's, or of one text: nobody else's preference is known.
    one = np.zeros((20, 20))
    one[3] = 1
    assert statistics.sign_test(one) == 1
    assert statistics.sign_test(one.T) == 1
    assert statistics.sign_test(np.zeros((4, 4))) == 1


def test_without_texts_to_differ_the_test_is_students() -> None:
    """Every text is the same, so that only listeners vary: the paired t test over them."""
    random = np.random.default_rng(1)
    of_listeners = random.normal(0, 1, (12, 1, 2)) + np.array([0.8, 0.0])
    scores = np.repeat(of_listeners, 7, axis=1)
    (found,) = statistics.estimates(scores, np.array([[1.0, -1.0]]))
    plain = scipy.stats.ttest_rel(of_listeners[:, 0, 0], of_listeners[:, 0, 1])
    assert found.value == pytest.approx((of_listeners[:, 0, 0] - of_listeners[:, 0, 1]).mean())
    assert found.p == pytest.approx(plain.pvalue, rel=1e-6)
    low, high = plain.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.12 * (high - low))


def test_a_single_text_or_listener_that_differs_is_no_evidence() -> None:
    """A difference of one text of ten, however many listeners confirm it."""
    scores = np.zeros((200, 10, 2))
    scores[:, 0, 0] = 5
    for values in (scores, scores.transpose(1, 0, 2)):
        (found,) = statistics.estimates(values, np.array([[1.0, -1.0]]))
        assert found.value == 0.5 and found.p > 0.3 and found.low < 0.01


def test_the_interval_follows_from_the_seed() -> None:
    scores = np.random.default_rng(2).normal(size=(9, 8, 2))
    weights = np.eye(2)
    first = statistics.estimates(scores, weights, seed=1)
    assert first == statistics.estimates(scores, weights, seed=1)
    assert first != statistics.estimates(scores, weights, seed=2)
    assert all(each.low < each.value < each.high for each in first)


def test_scores_without_spread() -> None:
    scores = np.full((4, 5, 2), 3.0)
    same, nothing = statistics.estimates(scores, np.array([[1.0, 0.0], [1.0, -1.0]]))
    assert (same.value, same.low, same.high) == (3, 3, 3)
    assert same.p == 1 / 8
    assert nothing.p == 1 and nothing.value == 0


def test_too_few_scores_are_refused() -> None:
    for shape in ((1, 5, 2), (5, 1, 2)):
        with pytest.raises(ValueError, match="too few"):
            statistics.estimates(np.zeros(shape), np.eye(2))
    scores = np.zeros((4, 4, 2))
    scores[:, :, 1] = np.nan
    with pytest.raises(ValueError, match="too few"):
        statistics.estimates(scores, np.eye(2))


def test_more_listeners_would_find_it() -> None:
    """With the listeners that are asked for, four tests of five find the difference."""
    random = np.random.default_rng(3)

    def scores(num_listeners: int) -> np.ndarray:
        own = random.normal(0, 1, (num_listeners, 1, 2))
        return own + random.normal(0, 0.5, (num_listeners, 40, 2)) + np.array([0.5, 0.0])

    weights = np.array([[1.0, -1.0]])
    (pilot,) = statistics.estimates(scores(500), weights, num_resamples=50)
    assert statistics.more_listeners(pilot, 500) == 0
    # By hand: (1.96 + 0.84)^2 * 2 / 0.5^2 = 62.8 listeners, and one for the noise.
    small = pilot._replace(value=0.5, variance=2.0 / 10, text_variance=0.0)
    needed = 10 + statistics.more_listeners(small, 10)
    assert needed == 63
    powers = [
        statistics.estimates(scores(needed), weights, num_resamples=50)[0].p < 0.05
        for _ in range(200)
    ]
    assert 0.7 < np.mean(powers) < 0.9
    assert statistics.more_listeners(small._replace(text_variance=0.1), 10) is None
