"""Scores a checkpoint on whole recordings.

    python -m experiments.evaluate --workdir=runs/fsdd --data_dir=corpora --split=validation

The score of a WaveNet is in bits per sample: history is carried across chunks and every sample
is scored once. Beside it stands the entropy of the code frequencies of the same samples, which is
the score of a model without memory.

With --multihost each process scores its share of the recordings, and the first one prints what all
found.

The score of a recognizer is the phone error rate: substitutions, deletions and insertions over
the phones of the transcripts, with a bootstrap interval over recordings; decoded with a language
model, and without one (greedy).
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.common import cli, processes, restore
from experiments.tasks.evaluation import evaluate, evaluate_recognition
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.STEP, cli.JSON, *cli.PROCESSES)
_TUNE_ON = flags.DEFINE_string(
    "tune_on", None, "Split on which the weights of a recognizer's decoder are chosen."
)
_SAMPLE_BITS = flags.DEFINE_string(
    "sample_bits",
    None,
    "File to write the bits of each sample to: npz, an array for each recording (a WaveNet).",
)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.join_processes()
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    run = trained.run
    corpus = run.load(cli.DATA_DIR.value, cli.SPLIT.value)
    recognized: dict[str, Any] = {}
    if _SAMPLE_BITS.value and (cli.MULTIHOST.value or not run.config.generates):
        raise InputError(
            f"--sample_bits is {_SAMPLE_BITS.value}, which one process writes, of a model that is "
            "trained to generate: leave it out."
        )
    if run.recognizer is not None:
        if cli.MULTIHOST.value:
            raise InputError("A recognizer is evaluated by one process: leave out --multihost.")
        tuned_on = run.load(cli.DATA_DIR.value, _TUNE_ON.value) if _TUNE_ON.value else None
        recognized = evaluate_recognition(trained, corpus, tuned_on=tuned_on)
        for decoder, found in recognized["decoders"].items():
            low, high = found["interval"]
            print(
                f"{found['phone_error_rate']:.1%} of {found['num_labels']} phones mistaken "
                f"({low:.1%} to {high:.1%}; {found['substitutions']} substituted, "
                f"{found['deletions']} deleted, {found['insertions']} inserted), {decoder}"
            )
    elif _TUNE_ON.value:
        raise InputError(f"--tune_on is {_TUNE_ON.value}, but the model recognises no phones.")
    generated: dict[str, Any] = {}
    if run.config.generates:
        generated = evaluate(trained, corpus, sample_bits=_SAMPLE_BITS.value)
        if not processes.is_first():
            return
        print(
            f"{generated['bits_per_sample']:.4f} bits per sample over "
            f"{generated['num_recordings']} recordings, {generated['num_samples']} samples "
            f"(unigram entropy {generated['unigram_bits_per_sample']:.4f}), step {trained.step}"
        )
    cli.write_json(generated | recognized | {"step": trained.step, "split": corpus.split})


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT))
