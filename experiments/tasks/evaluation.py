"""Scores of a trained model on whole recordings: bits per sample, and phone errors."""

import contextlib
import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

import data
from experiments.common import cli, files, processes, restore
from experiments.metrics import phone_errors
from wavenet_jax import metrics, scoring


def evaluate(
    trained: restore.TrainedModel,
    corpus: data.Corpus,
    *,
    sample_bits: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Scores all recordings of a corpus's split, of which each process scores its share.

    Args:
      trained: of `restore.load`.
      corpus: the recordings.
      sample_bits: npz file for the bits of each sample, float32 `[N]` by the recording's name,
        which appears once it is complete; by one process alone.

    Returns:
      `bits_per_sample`, `unigram_bits_per_sample`, `num_recordings`,
      `num_samples`, `step`, `split`, `wall_s`.

    Raises:
      InputError: a recording cannot be scored, the file not written, or the model is a student.
    """
    run, begun_s = trained.run, time.monotonic()
    run.require_likelihood()
    quantizer = run.wavenet.quantizer
    counts = np.zeros(quantizer.num_classes, np.int64)

    def counted(recordings: Iterable[Mapping]) -> Iterator[Mapping]:
        for recording in recordings:
            counts[:] += metrics.code_counts(recording["samples"], quantizer)
            yield recording

    scores = []
    path = None if sample_bits is None else pathlib.Path(sample_bits)
    if path is not None:
        cli.require_writable(path.parent)
    indices = processes.share(range(len(corpus)))
    with contextlib.ExitStack() as stack:
        add = stack.enter_context(files.npz(path)) if path is not None else None
        bar = stack.enter_context(
            tqdm(
                total=int(corpus.lengths[list(indices)].sum()),
                unit="sample",
                unit_scale=True,
                file=sys.stderr,
            )
        )
        recordings = counted(trained.recordings(corpus, indices))
        for score in scoring.score(
            run.wavenet, trained.params, recordings, keep_sample_bits=add is not None
        ):
            if add is not None and score.sample_bits is not None:
                add(score.recording, score.sample_bits)
            scores.append(dataclasses.replace(score, sample_bits=None))
            bar.update(score.num_samples)
    shares = processes.gather([[dataclasses.astuple(score) for score in scores], counts.tolist()])
    scores = [scoring.Score(*score) for share, _ in shares for score in share]
    counts = np.sum([of_share for _, of_share in shares], axis=0)
    return {
        "bits_per_sample": scoring.bits_per_sample(scores),
        "unigram_bits_per_sample": metrics.unigram_entropy_bits(counts),
        "num_recordings": len(scores),
        "num_samples": sum(score.num_samples for score in scores),
        "step": trained.step,
        "split": corpus.split,
        "wall_s": round(time.monotonic() - begun_s, 3),
    }


def evaluate_recognition(
    trained: restore.TrainedModel, corpus: data.Corpus, *, tuned_on: data.Corpus | None = None
) -> dict[str, Any]:
    """Phone errors of a recognizer on a corpus's split.

    Args:
      trained: a recognizer.
      corpus: the recordings.
      tuned_on: recordings on which the weights of the decoder are chosen; by default they
        are those of the config.

    Returns:
      As `phone_errors.figures`.

    Raises:
      InputError: the model is no recognizer, or a recording has no phones.
    """
    run, params = trained.run, trained.params
    tuned = phone_errors.collect_posteriors(run, params, tuned_on) if tuned_on is not None else None
    found = phone_errors.collect_posteriors(run, params, corpus)
    return phone_errors.figures(run, found, tuned_on=tuned)
