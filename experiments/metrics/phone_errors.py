"""Phone error rates, with what they are made of and how sure they are.

Phones that were heard are aligned with those that were said by the least number of
substitutions, deletions and insertions (jiwer); their sum over the number said is the rate.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jiwer
import numpy as np
from tqdm import tqdm

import data
from experiments.common.run import Run
from wavenet_jax import InputError
from wavenet_jax.recognition import posteriors

NUM_RESAMPLED = 1000
GRID = {
    "prior_weight": (0.3, 0.6, 1.0),
    "lm_weight": (1.0, 2.0, 3.0, 4.5, 7.0),
    "insertion_penalty": (-1.0, 0.5, 2.0, 4.0, 7.0),
}


class Counts(NamedTuple):
    """Of one recording, or of several together."""

    said: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over phones said; it may be above 1."""
        return self.errors / self.said


def count(said: Sequence[str], heard: Sequence[str]) -> Counts:
    """The errors in one recording.

    Raises:
      InputError: nothing was said.
    """
    if not said:
        raise InputError("A transcript has no phones to score: leave its recording out.")
    found = jiwer.process_words(" ".join(said), " ".join(heard))
    return Counts(len(said), found.substitutions, found.deletions, found.insertions)


def total(counts: Sequence[Counts]) -> Counts:
    """Of several recordings together: long ones count for more."""
    return Counts(*(sum(column) for column in zip(*counts, strict=True)))


def interval(
    counts: Sequence[Counts], *, share: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Between what rates the true one lies with a probability of `share`: percentiles of the
    rates of as many recordings drawn from these with replacement (bootstrap)."""
    errors, said = np.array([(each.errors, each.said) for each in counts]).T
    drawn = np.random.default_rng(seed).integers(len(counts), size=(NUM_RESAMPLED, len(counts)))
    rates = errors[drawn].sum(axis=1) / said[drawn].sum(axis=1)
    low, high = np.quantile(rates, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


class PosteriorSet(NamedTuple):
    """Recordings, and what a recognizer makes of the first of them: `[F, K]` each."""

    corpus: data.Corpus
    log_probs: Sequence[np.ndarray]


def collect_posteriors(
    experiment: Run, params: Any, corpus: data.Corpus, number: int | None = None
) -> PosteriorSet:
    """What a recognizer makes of each recording (`posteriors`).

    Args:
      experiment: with a recognizer.
      params: its variables.
      corpus: what is heard.
      number: how many of its recordings, the first; all by default.

    Raises:
      InputError: the model does not recognise.
    """
    places = {name: i for i, name in enumerate(corpus.names[:number])}
    some = itertools.islice(experiment.recordings(corpus), len(places))
    found = dict(posteriors.posteriors(experiment.model, params, some))
    return PosteriorSet(corpus, [found[name] for name in places])


def errors(
    experiment: Run,
    found: PosteriorSet,
    *,
    decoder: str | None = None,
    weights: Mapping[str, float] | None = None,
) -> list[Counts]:
    """The errors in each recording.

    Args:
      experiment: with a recognizer.
      found: of recordings with the phones that were said.
      decoder: as for `recognition.decode`.
      weights: of the decoder, instead of those of `config.recognizer.decoding`.

    Raises:
      InputError: a recording has no phones.
    """
    phones = experiment.phones
    return [
        count(
            phones.said(found.corpus.recording(i)),
            phones.scored(
                segment.label
                for segment in experiment.decode(each, decoder=decoder, weights=weights)
            ),
        )
        for i, each in enumerate(found.log_probs)
    ]


def best_weights(experiment: Run, found: PosteriorSet) -> dict[str, float]:
    """The weights of the decoder, of a grid, with which it makes the fewest errors.

    Args:
      experiment, found: as for `errors`; of recordings that are not scored.
    """
    grid = [
        dict(zip(GRID, values, strict=True))
        for values in itertools.product(*GRID.values())
        if not experiment.is_ctc or values[0] == GRID["prior_weight"][0]
    ]
    bar = tqdm(grid, desc="choosing weights", unit=" sets", file=sys.stderr)
    return min(
        bar,
        key=lambda weights: total(errors(experiment, found, weights=weights)).errors,
    )


def figures(
    experiment: Run, found: PosteriorSet, *, tuned_on: PosteriorSet | None = None
) -> dict[str, Any]:
    """How many phones are mistaken, with a model of sequences and without.

    Args:
      experiment: with a recognizer.
      found: what is scored.
      tuned_on: others, on which the weights of the decoder are chosen; by default they are
        those of the config.

    Returns:
      For each of `decoders`, the one with a model of sequences and "greedy":
      `phone_error_rate`, its `interval` (of 95%), `said`, `substitutions`, `deletions` and
      `insertions`; and the `weights` of the former.
    """
    weights = dict(experiment.config["recognizer"]["decoding"])
    if tuned_on is not None:
        weights = best_weights(experiment, tuned_on)
    decoders = {}
    for decoder in ("beam" if experiment.is_ctc else "viterbi", "greedy"):
        counts = errors(experiment, found, decoder=decoder, weights=weights)
        together = total(counts)
        decoders[decoder] = {
            "phone_error_rate": together.rate,
            "interval": interval(counts),
            **together._asdict(),
        }
    return {"decoders": decoders, "weights": weights}
