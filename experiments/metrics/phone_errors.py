"""Phone error rates of recognizers, by kind of error, with bootstrap intervals.

The recognized phones of a recording are aligned with its labels by the minimum number of
substitutions, deletions and insertions (jiwer); their sum over the number of labels is the rate.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jiwer
import numpy as np
from scipy import stats
from tqdm import tqdm

import data
from experiments.common.run import Run
from wavenet_jax import InputError
from wavenet_jax.config import to_dict
from wavenet_jax.recognition import posteriors

NUM_RESAMPLES = 1000
GRID = {
    "prior_weight": (0.3, 0.6, 1.0),
    "lm_weight": (1.0, 2.0, 3.0, 4.5, 7.0),
    "insertion_penalty": (-1.0, 0.5, 2.0, 4.0, 7.0),
}


class Counts(NamedTuple):
    """Phones and errors of one recording, or of several together."""

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
        raise InputError("A transcript has no phones to score: leave its recording out.")
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

    found = stats.bootstrap(
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


class PosteriorSet(NamedTuple):
    """A corpus, and the frame posteriors of its first recordings, `[F, K]` each."""

    corpus: data.Corpus
    log_probs: Sequence[np.ndarray]


def collect_posteriors(
    run: Run, params: Any, corpus: data.Corpus, number: int | None = None
) -> PosteriorSet:
    """Computes the frame posteriors of a corpus's recordings.

    Args:
      run: of a recognizer.
      params: its variables.
      corpus: the recordings.
      number: how many of them, from the first; all by default.

    Raises:
      InputError: the model is no recognizer.
    """
    if run.recognizer is None:
        raise InputError(
            "The model is no recognizer: train one, such as --config=experiments/configs/timit.py."
        )
    places = {name: i for i, name in enumerate(corpus.names[:number])}
    some = itertools.islice(run.recordings(corpus), len(places))
    found = dict(posteriors.posteriors(run.recognizer, params, some))
    return PosteriorSet(corpus, [found[name] for name in places])


def errors(
    run: Run,
    found: PosteriorSet,
    *,
    decoder: str | None = None,
    weights: Mapping[str, float] | None = None,
) -> list[Counts]:
    """Counts the errors of each recording.

    Args:
      run: of a recognizer.
      found: posteriors of recordings with phone labels.
      decoder: as for `Run.decode`.
      weights: of the decoder, instead of those of `config.recognizer.decoding`.

    Raises:
      InputError: a recording has no phones.
    """
    phones = run.phones
    return [
        count(
            phones.transcript(found.corpus.recording(i)),
            phones.scored(
                segment.label for segment in run.decode(each, decoder=decoder, weights=weights)
            ),
        )
        for i, each in enumerate(found.log_probs)
    ]


def best_weights(run: Run, found: PosteriorSet) -> dict[str, float]:
    """The decoder weights of `GRID` with the fewest errors.

    Args:
      run: as for `errors`.
      found: as for `errors`, of recordings other than those that are scored.
    """
    grid = [
        dict(zip(GRID, values, strict=True))
        for values in itertools.product(*GRID.values())
        if not run.is_ctc or values[0] == GRID["prior_weight"][0]
    ]
    bar = tqdm(grid, desc="choosing weights", unit=" sets", file=sys.stderr)
    return min(
        bar,
        key=lambda weights: total(errors(run, found, weights=weights)).errors,
    )


def figures(
    run: Run, found: PosteriorSet, *, tuned_on: PosteriorSet | None = None
) -> dict[str, Any]:
    """Phone error rates with the language model and without.

    Args:
      run: of a recognizer.
      found: posteriors of the recordings that are scored.
      tuned_on: posteriors of other recordings, on which the decoder weights are chosen; by
        default they are those of the config.

    Returns:
      `decoders`: for the decoder with the language model ("viterbi", or "beam" for CTC) and for
      "greedy" the `phone_error_rate`, its 95% `interval`, `num_labels`, `substitutions`,
      `deletions` and `insertions`; and the `weights` of the former.
    """
    weights = to_dict(run.config.recognizer.decoding)
    if tuned_on is not None:
        weights = best_weights(run, tuned_on)
    decoders = {}
    for decoder in ("beam" if run.is_ctc else "viterbi", "greedy"):
        counts = errors(run, found, decoder=decoder, weights=weights)
        together = total(counts)
        decoders[decoder] = {
            "phone_error_rate": together.rate,
            "interval": interval(counts),
            **together._asdict(),
        }
    return {"decoders": decoders, "weights": weights}
