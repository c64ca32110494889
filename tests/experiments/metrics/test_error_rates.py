"""Errors by hand, and intervals against a bootstrap written out."""

import numpy as np
import pytest

from experiments.metrics import error_rates
from experiments.metrics.error_rates import Counts
from wavenet_jax import InputError


def plain_interval(counts: list[Counts], num_resamples: int, seed: int) -> np.ndarray:
    """The percentile bootstrap over recordings, one resample after the other."""
    random, rates = np.random.default_rng(seed), []
    for _ in range(num_resamples):
        drawn = [counts[i] for i in random.integers(len(counts), size=len(counts))]
        rates.append(sum(each.errors for each in drawn) / sum(each.num_labels for each in drawn))
    return np.quantile(rates, [0.025, 0.975])


def test_errors_by_hand() -> None:
    """sil sh iy sil against sil s iy iy: one substituted, one for another at the end."""
    counts = error_rates.count(["sil", "sh", "iy", "sil"], ["sil", "s", "iy"])
    assert counts == (4, 1, 1, 0) and counts.rate == 0.5
    more = error_rates.count(["a"], ["a", "b", "c"])
    assert more == (1, 0, 0, 2) and more.rate == 2
    assert error_rates.count(["a", "b"], []) == (2, 0, 2, 0)
    together = error_rates.total([counts, more])
    assert together == (5, 1, 1, 2) and together.rate == 0.8
    with pytest.raises(InputError, match="no words or phones to score"):
        error_rates.count([], ["a"])


def test_the_interval_is_the_spread_over_recordings() -> None:
    """Of 400 recordings half of which are all wrong, the rate varies by sqrt(.25 / 400)."""
    counts = [Counts(10, 10 * (i % 2), 0, 0) for i in range(400)]
    low, high = error_rates.interval(counts)
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.01)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.01)


@pytest.mark.parametrize("number", [5, 60])
def test_the_interval_is_that_of_a_bootstrap_written_out(number: int) -> None:
    """Recordings of unequal lengths, whose errors and labels are drawn together."""
    random = np.random.default_rng(0)
    labels = random.integers(5, 60, number)
    errors = random.binomial(labels, random.uniform(0.1, 0.6, number))
    counts = [Counts(int(n), int(e), 0, 0) for n, e in zip(labels, errors, strict=True)]
    runs = np.array([plain_interval(counts, error_rates.NUM_RESAMPLES, i) for i in range(10)])
    found = error_rates.interval(counts)
    assert np.all(np.abs(found - runs.mean(axis=0)) < 4 * runs.std(axis=0))
    assert found == error_rates.interval(counts)
    assert found != error_rates.interval(counts, seed=1)


def test_intervals_without_spread() -> None:
    """One recording, no errors, and errors that are the same everywhere."""
    assert error_rates.interval([Counts(10, 3, 1, 0)]) == (0.4, 0.4)
    assert error_rates.interval([Counts(10, 0, 0, 0)] * 3) == (0, 0)
    assert error_rates.interval([Counts(10, 0, 5, 0)] * 3) == (0.5, 0.5)
