"""Error rates of recognized words and phones, with bootstrap intervals.

The recognized tokens of a recording are aligned with its labels by the minimum number of
substitutions, deletions and insertions (jiwer); their sum over the number of labels is the rate.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jiwer
import numpy as np
import scipy  # whose parts are imported where they are used

from wavenet_jax import InputError

NUM_RESAMPLES = 1000


class Counts(NamedTuple):
    """Labels and errors of one recording, or of several together."""

    num_labels: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over labels; it may exceed 1."""
        return self.errors / self.num_labels


def count(labels: Sequence[str], recognized: Sequence[str]) -> Counts:
    """Counts the errors of one recording.

    Raises:
      InputError: there are no labels.
    """
    if not labels:
        raise InputError("A transcript has no words or phones to score: leave its recording out.")
    found = jiwer.process_words(" ".join(labels), " ".join(recognized))
    return Counts(len(labels), found.substitutions, found.deletions, found.insertions)


def total(counts: Sequence[Counts]) -> Counts:
    """Sums of the counts: long recordings weigh more than short ones."""
    return Counts(*(sum(column) for column in zip(*counts, strict=True)))


def interval(
    counts: Sequence[Counts], *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """The confidence interval of the rate of the counts' total.

    The percentile bootstrap over recordings (Efron and Tibshirani, 1993, section 13.3): a
    resample draws as many recordings as there are, with replacement, each with its errors and
    its labels. The interval of a single recording is its rate.
    """
    if len(counts) == 1:
        return counts[0].rate, counts[0].rate
    errors, labels = np.array([(each.errors, each.num_labels) for each in counts]).T

    def rate(errors: np.ndarray, labels: np.ndarray, axis: int) -> np.ndarray:
        return errors.sum(axis=axis) / labels.sum(axis=axis)

    found = scipy.stats.bootstrap(
        (errors, labels),
        rate,
        paired=True,
        vectorized=True,
        n_resamples=NUM_RESAMPLES,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
