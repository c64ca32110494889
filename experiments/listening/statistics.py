"""Estimates and tests of listeners' scores, for listeners and texts that are both a sample.

Scores are `[listeners, texts, systems]`, NaN where a listener was not asked. What is estimated is
the mean of a system, or a sum of means with weights, such as a difference of two. It is to hold
for other listeners and for other texts, so both are resampled.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

NUM_RESAMPLES = 2000
CONFIDENCE = 0.95
POWER = 0.8


class Estimate(NamedTuple):
    """A weighted sum of systems' means.

    Attributes:
      value: the sum.
      low, high: the 95% interval.
      p: of the two-sided test that it is 0.
      variance: of the value, over listeners and texts.
      text_variance: what of it more listeners do not remove.
    """

    value: float
    low: float
    high: float
    p: float
    variance: float
    text_variance: float


def estimates(
    scores: np.ndarray, weights: np.ndarray, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> list[Estimate]:
    """Weighted sums of the systems' means, with intervals and tests.

    The variance is that over listeners plus that over texts minus that over their crossings, which
    is in both (Cameron, Gelbach and Miller, 2011), and no less than either. The
    interval is the percentile bootstrap over listeners and texts, drawn independently with
    replacement (Owen, 2007), whose spread about the value is brought to that variance, since
    the bootstrap has the crossings' three times, and to a t distribution's quantiles. The test
    divides the value by the root of the variance, with the degrees of freedom of
    Satterthwaite (1946), of which what is subtracted takes some.

    Args:
      scores: `[listeners, texts, systems]`, NaN where there is none; at least two listeners and
        two texts.
      weights: `[sums, systems]`.
      seed: of the bootstrap.
      num_resamples: of the bootstrap.

    Raises:
      ValueError: there are fewer listeners or texts, or a system has no score.
    """
    num_listeners, num_texts, _ = scores.shape
    has_score = np.isfinite(scores)
    if min(num_listeners, num_texts) < 2 or not has_score.any(axis=(0, 1)).all():
        raise ValueError(f"scores of shape {scores.shape} are too few for an interval")
    counts, sums = has_score.astype(np.float64), np.where(has_score, scores, 0.0)
    totals = counts.sum(axis=(0, 1))
    means = sums.sum(axis=(0, 1)) / totals
    values = weights @ means
    influences = ((sums - means * counts) / totals) @ weights.T  # [listeners, texts, sums]
    of_listeners = (influences.sum(axis=1) ** 2).sum(axis=0) * num_listeners / (num_listeners - 1)
    of_texts = (influences.sum(axis=0) ** 2).sum(axis=0) * num_texts / (num_texts - 1)
    of_crossings = (influences**2).sum(axis=(0, 1))
    variances = np.maximum(
        of_listeners + of_texts - of_crossings, np.maximum(of_listeners, of_texts)
    )
    replicates = _resampled(sums, counts, num_resamples, seed) @ weights.T
    replicates = replicates[np.isfinite(replicates).all(axis=1)]
    found = []
    for i, value in enumerate(values):
        deviations = replicates[:, i] - value
        parts = of_listeners[i] ** 2 / (num_listeners - 1) + of_texts[i] ** 2 / (num_texts - 1)
        degrees = float(variances[i] ** 2 / parts) if parts > 0 else 1.0
        quantile = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, degrees)
        spread = float(deviations.std())
        factor = quantile / scipy.stats.norm.ppf((1 + CONFIDENCE) / 2)
        scale = factor * np.sqrt(variances[i]) / spread if spread > 0 else 0.0
        low, high = np.quantile(deviations, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        found.append(
            Estimate(
                float(value),
                float(value + scale * low),
                float(value + scale * high),
                _p_value(float(value), float(variances[i]), degrees, min(num_listeners, num_texts)),
                float(variances[i]),
                float(max(0.0, of_texts[i] - of_crossings[i])),
            )
        )
    return found


def _resampled(sums: np.ndarray, counts: np.ndarray, number: int, seed: int) -> np.ndarray:
    """The systems' means in resamples of listeners and texts, `[number, systems]`."""
    random = np.random.default_rng(seed)
    num_listeners, num_texts, _ = sums.shape
    listeners = random.multinomial(num_listeners, np.full(num_listeners, 1 / num_listeners), number)
    texts = random.multinomial(num_texts, np.full(num_texts, 1 / num_texts), number)
    drawn = [
        np.einsum("rl,lts,rt->rs", listeners.astype(np.float64), each, texts, optimize=True)
        for each in (sums, counts)
    ]
    with np.errstate(invalid="ignore"):  # a system that no drawn listener was asked about
        means: np.ndarray = drawn[0] / drawn[1]
    return means


def _p_value(value: float, variance: float, degrees: float, number: int) -> float:
    if variance > 0:
        return float(2 * scipy.stats.t.sf(abs(value) / np.sqrt(variance), degrees))
    # Without any spread, no less than what signs alone would give.
    return 1.0 if value == 0 else float(2.0 ** (1 - number))


def sign_test(net: np.ndarray) -> float:
    """The two-sided sign test of preferences, for listeners and for texts.

    Each listener counts once, for what that listener preferred more often, and ties are left out;
    likewise each text. The larger of the two p-values is given: who prefers must be most
    listeners, and of most texts.

    Args:
      net: `[listeners, texts]`, 1 where one was preferred, -1 the other, 0 for neither, NaN where
        there is no answer.
    """
    ps = []
    for axis in (0, 1):
        signs = np.sign(np.nansum(net, axis=axis))
        wins, number = int((signs > 0).sum()), int((signs != 0).sum())
        ps.append(scipy.stats.binomtest(wins, number).pvalue if number else 1.0)
    return float(max(ps))


def holm(ps: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm, 1979)."""
    corrected, largest = np.empty(len(ps)), 0.0
    for rank, i in enumerate(np.argsort(ps, kind="stable")):
        largest = max(largest, min(1.0, (len(ps) - rank) * float(ps[i])))
        corrected[i] = largest
    return corrected.tolist()


def krippendorff_alpha(scores: np.ndarray) -> float:
    """Agreement of listeners, 1 if they are of one mind, 0 if as chance would have it.

    Krippendorff's alpha with the interval metric (Krippendorff, 2011).

    Args:
      scores: `[listeners, units]`, NaN where there is none.

    Returns:
      Alpha; NaN where no unit has two scores, or all are the same.
    """
    paired = scores[:, np.isfinite(scores).sum(axis=0) >= 2]
    numbers = np.isfinite(paired).sum(axis=0)
    total = int(numbers.sum())
    if not total:
        return float("nan")
    values = paired[np.isfinite(paired)]
    sums, squares = np.nansum(paired, axis=0), np.nansum(paired**2, axis=0)
    observed = (2 * (numbers * squares - sums**2) / (numbers - 1)).sum() / total
    expected = 2 * (total * (values**2).sum() - values.sum() ** 2) / (total * (total - 1))
    return float(1 - observed / expected) if expected > 0 else float("nan")


def more_listeners(estimate: Estimate, num_listeners: int) -> int | None:
    """How many more listeners a difference of this size would need.

    To be found at the 5% level in 80% of the tests, with the same texts; by normal quantiles.

    Returns:
      The number, 0 if there are enough; None if no number would do, because of the texts.
    """
    quantiles = scipy.stats.norm.ppf((1 + CONFIDENCE) / 2) + scipy.stats.norm.ppf(POWER)
    allowed = (estimate.value / quantiles) ** 2 - estimate.text_variance
    of_listeners = (estimate.variance - estimate.text_variance) * num_listeners
    if allowed <= 0:
        return None
    return max(0, int(np.ceil(of_listeners / allowed)) - num_listeners)
