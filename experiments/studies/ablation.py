"""Ablation: the same short training with each part of the model and without it.

    python -m experiments.studies.ablation --data_dir=corpora --workdir=runs/ablation

Trains variants of a config (experiments/configs/fsdd.py by default) for `--num_steps` each, one
after the other, and scores them on whole validation recordings. All of them predict the same
mu-law codes, so that their bits compare. A variant that is trained already is only scored again;
after an interruption the same command goes on.
"""

import sys
from collections.abc import Sequence
from typing import Any

import ml_collections

from experiments.common import cli
from experiments.configs import fsdd
from experiments.studies import variants

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.JSON, cli.CONFIG, cli.NUM_STEPS, cli.VARIANTS)

MEL = {
    "features": "mel",
    "channels": 32,
    "hop_samples": 50,
    "n_fft": 256,
    "num_mels": 20,
    "fmin_hz": 0.0,
    "fmax_hz": 4000.0,
}
CONTEXT_STACK = {"hop_samples": 50, "dilations": (1, 2, 4), "channels": 32}


def _no_labels(config: ml_collections.ConfigDict) -> None:
    config.global_condition.labels = ()


def _speaker_and_digit(config: ml_collections.ConfigDict) -> None:
    config.global_condition.labels = ("speaker", "digit")


def _model(**fields: Any) -> variants.Change:
    return lambda config: config.model.update(fields)


def _training(**fields: Any) -> variants.Change:
    return lambda config: config.training.update(fields)


def _mel(**fields: Any) -> variants.Change:
    return lambda config: config.local_condition.update(MEL | fields)


VARIANTS: dict[str, variants.Change] = {
    "speaker (the config)": lambda config: None,
    "unconditioned": _no_labels,
    "speaker and digit": _speaker_and_digit,
    "context stack": _model(context_stacks=(CONTEXT_STACK,)),
    "logistic mixture": _model(output="logistic_mixture"),
    "gaussian mixture": _model(output="gaussian_mixture"),
    "gaussian": _model(output="gaussian"),
    "mel, repeated": _mel(),
    "mel, linear": _mel(upsampling="linear"),
    "mel, transposed": _mel(upsampling="transposed", factors=(10, 5)),
    "weight normalization": _training(weight_normalization=True),
    "dropout 0.05": _model(dropout=0.05),
    "input noise 0.01": _training(input_noise=0.01),
}
"""By name, how a variant changes the config."""


def ablation(
    config: ml_collections.ConfigDict,
    names: Sequence[str] = (),
    *,
    num_steps: int,
    workdir: str,
    data_dir: str,
) -> list[dict[str, Any]] | None:
    """Trains and scores variants.

    Args:
      config: that the variants change.
      names: of the variants; all by default.
      num_steps: of each training.
      workdir: folder of the variants' work directories.
      data_dir: folder of corpora.

    Returns:
      For each its `name` and the figures of `evaluation.evaluate` on the held-out split; None if
      a signal stopped a training.

    Raises:
      InputError: there is no variant of a name, or the config does not fit.
    """
    return variants.score_variants(
        config, VARIANTS, names, num_steps=num_steps, workdir=workdir, data_dir=data_dir
    )


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures of `ablation` as a Markdown table."""
    lines = ["| variant | bits per sample |", "|---|---|"]
    lines += [f"| {row['name']} | {row['bits_per_sample']:.3f} |" for row in rows]
    unigram = f"{rows[0]['unigram_bits_per_sample']:.3f}"
    return "\n".join([*lines, f"| (codes' frequencies alone) | {unigram} |"])


def main(argv: Sequence[str]) -> None:
    del argv
    rows = ablation(
        cli.CONFIG.value or fsdd.get_config(),
        cli.VARIANTS.value or (),
        num_steps=cli.NUM_STEPS.value,
        workdir=cli.WORKDIR.value,
        data_dir=cli.DATA_DIR.value,
    )
    if rows is None:
        sys.exit(variants.STOPPED)
    print(as_table(rows))
    cli.write_json(rows)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR))
