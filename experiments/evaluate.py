"""Scores a checkpoint on whole recordings, in bits per sample.

    python -m experiments.evaluate --workdir=runs/fsdd --data_dir=corpora --split=validation

History is carried across chunks and every sample is scored once. Beside the score
stands the entropy of the same samples' code frequencies, the score of a model
without memory.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

import data
from experiments import checkpointed, cli
from wavenet_jax import metrics, scoring

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("step")

flags.declare_key_flag("split")


def evaluate(trained: checkpointed.Trained, corpus: data.Corpus) -> dict[str, Any]:
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


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir, split=FLAGS.split)
    trained = checkpointed.load(FLAGS.workdir, checkpointed.STEP.value)
    corpus = trained.experiment.load(FLAGS.data_dir, FLAGS.split)
    figures = evaluate(trained, corpus)
    print(
        f"{figures['bits_per_sample']:.4f} bits per sample over "
        f"{figures['num_recordings']} recordings, {figures['num_samples']} samples "
        f"(unigram entropy {figures['unigram_bits_per_sample']:.4f}), step {trained.step}"
    )
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main)
