"""Phone error rates of recognizers, by kind of error, with bootstrap intervals."""

import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import data
from experiments.common.run import Run
from experiments.metrics.error_rates import Counts, count, interval, total
from wavenet_jax import InputError
from wavenet_jax.config import to_dict
from wavenet_jax.recognition import posteriors

GRID = {
    "prior_weight": (0.3, 0.6, 1.0),
    "lm_weight": (1.0, 2.0, 3.0, 4.5, 7.0),
    "insertion_penalty": (-1.0, 0.5, 2.0, 4.0, 7.0),
}


class PosteriorSet(NamedTuple):
    """A corpus, and the frame posteriors of its recordings, `[F, K]` each."""

    corpus: data.Corpus
    log_probs: Sequence[np.ndarray]


def collect_posteriors(run: Run, params: Any, corpus: data.Corpus) -> PosteriorSet:
    """Computes the frame posteriors of a corpus's recordings.

    Args:
      run: of a recognizer.
      params: its variables.
      corpus: the recordings.

    Raises:
      InputError: the model is no recognizer.
    """
    if run.recognizer is None:
        raise InputError(
            "The model is no recognizer: train one, such as --config=experiments/configs/timit.py."
        )
    found = dict(posteriors.posteriors(run.recognizer, params, run.recordings(corpus)))
    return PosteriorSet(corpus, [found[name] for name in corpus.names])


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
