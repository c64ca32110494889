"""Scores a checkpoint on whole recordings, in bits per sample.

    python -m experiments.evaluate --workdir=runs/fsdd --data_dir=corpora --split=validation

History is carried across chunks and every sample is scored once. Beside the score
stands the entropy of the same samples' code frequencies, the score of a model
without memory.

Of a recognizer the phone error rate comes first: substitutions, deletions and insertions over
the phones said, with an interval by bootstrap over recordings; decoded with a model of
sequences, and without (greedy).
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

import data
from experiments.common import cli, restore
from experiments.metrics import phone_errors
from wavenet_jax import InputError, metrics, scoring

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("step")

flags.declare_key_flag("split")
_TUNE_ON = flags.DEFINE_string(
    "tune_on", None, "Split on which the weights of a recognizer's decoder are chosen."
)


def evaluate(trained: restore.TrainedModel, corpus: data.Corpus) -> dict[str, Any]:
    """Scores all recordings of a corpus's split.

    Returns:
      `bits_per_sample`, `unigram_bits_per_sample`, `num_recordings`,
      `num_samples`, `step`, `split`, `wall_s`.

    Raises:
      InputError: a recording cannot be scored.
    """
    experiment, begun_s = trained.experiment, time.monotonic()
    quantizer = experiment.model.quantizer
    counts = np.zeros(quantizer.num_classes, np.int64)

    def counted(recordings: Iterable[Mapping]) -> Iterator[Mapping]:
        for recording in recordings:
            counts[:] += metrics.code_counts(recording["samples"], quantizer)
            yield recording

    scores = []
    with tqdm(
        total=int(corpus.lengths.sum()), unit="sample", unit_scale=True, file=sys.stderr
    ) as bar:
        recordings = counted(experiment.recordings(corpus))
        for score in scoring.score(experiment.model, trained.params, recordings):
            scores.append(score)
            bar.update(score.num_samples)
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
    """Counts the phones that a recognizer mistakes in a corpus's split.

    Args:
      trained: with a recognizer.
      corpus: what is scored.
      tuned_on: recordings on which the weights of the decoder are chosen; by default they
        are those of the config.

    Returns:
      As `phone_errors.figures`.

    Raises:
      InputError: the model does not recognise, or a recording has no phones.
    """
    experiment, params = trained.experiment, trained.params
    tuned = (
        phone_errors.collect_posteriors(experiment, params, tuned_on)
        if tuned_on is not None
        else None
    )
    heard = phone_errors.collect_posteriors(experiment, params, corpus)
    return phone_errors.figures(experiment, heard, tuned_on=tuned)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir, split=FLAGS.split)
    trained = restore.load(FLAGS.workdir, restore.STEP.value)
    experiment = trained.experiment
    corpus = experiment.load(FLAGS.data_dir, FLAGS.split)
    recognized: dict[str, Any] = {}
    if experiment.model.recognizer is not None:
        tuned_on = experiment.load(FLAGS.data_dir, _TUNE_ON.value) if _TUNE_ON.value else None
        recognized = evaluate_recognition(trained, corpus, tuned_on=tuned_on)
        for decoder, found in recognized["decoders"].items():
            low, high = found["interval"]
            print(
                f"{found['phone_error_rate']:.1%} of {found['said']} phones mistaken "
                f"({low:.1%} to {high:.1%}; {found['substitutions']} substituted, "
                f"{found['deletions']} deleted, {found['insertions']} inserted), {decoder}"
            )
    elif _TUNE_ON.value:
        raise InputError(f"--tune_on is {_TUNE_ON.value}, but the model recognises no phones.")
    generated: dict[str, Any] = {}
    if experiment.generates:
        generated = evaluate(trained, corpus)
        print(
            f"{generated['bits_per_sample']:.4f} bits per sample over "
            f"{generated['num_recordings']} recordings, {generated['num_samples']} samples "
            f"(unigram entropy {generated['unigram_bits_per_sample']:.4f}), step {trained.step}"
        )
    cli.write_json(generated | recognized | {"step": trained.step, "split": corpus.split})


if __name__ == "__main__":
    cli.run(main)
