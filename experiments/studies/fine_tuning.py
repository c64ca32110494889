"""Fine-tuning: a short training from a pretrained model, against longer ones from nothing.

    python -m experiments.studies.fine_tuning --config=experiments/configs/fsdd.py \\
        --config.pretrained=runs/others --data_dir=corpora/new --workdir=runs/fine_tuning \\
        --num_steps=200

Trains the config from the pretrained run for `--num_steps`, and from nothing for as many steps and
for five times as many, with the recipe's learning rates for either, and scores them on whole
held-out recordings. The page docs/fine_tuning.md has the commands before these, for a speaker
whom the pretrained model never heard.
"""

import sys
from collections.abc import Sequence
from typing import Any

import ml_collections

from experiments.common import cli
from experiments.studies import variants
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.JSON, cli.CONFIG, cli.NUM_STEPS, cli.VARIANTS)

TIMES = 5
"""Steps of the longer training from nothing, in those of the fine-tuning."""


def _from_nothing(num_steps: int) -> variants.Change:
    def change(config: ml_collections.ConfigDict) -> None:
        config.pretrained = None
        config.num_steps = config.checkpoint_every = num_steps

    return change


def variants_of(num_steps: int) -> dict[str, variants.Change]:
    """By name, how a variant changes the config of a fine-tuning of so many steps."""
    return {
        "fine-tuned": lambda config: None,
        "from nothing": _from_nothing(num_steps),
        f"from nothing, {TIMES} times the steps": _from_nothing(TIMES * num_steps),
    }


def study(
    config: ml_collections.ConfigDict,
    names: Sequence[str] = (),
    *,
    num_steps: int,
    workdir: str,
    data_dir: str,
) -> list[dict[str, Any]] | None:
    """Trains and scores variants.

    Args:
      config: with a `pretrained` run, which the variants leave or take.
      names: of the variants; all by default.
      num_steps: of the fine-tuning.
      workdir: folder of the variants' work directories.
      data_dir: folder of corpora.

    Returns:
      For each its `name` and the figures of `evaluation.evaluate` on the held-out split; None if
      a signal stopped a training.

    Raises:
      InputError: there is no pretrained run or variant of a name, or the config does not fit.
    """
    if config.pretrained is None:
        raise InputError("--config.pretrained is None: name the run that is fine-tuned.")
    return variants.score_variants(
        config,
        variants_of(num_steps),
        names,
        num_steps=num_steps,
        workdir=workdir,
        data_dir=data_dir,
    )


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures of `study` as a Markdown table."""
    lines = ["| variant | steps | bits per sample |", "|---|---|---|"]
    lines += [f"| {row['name']} | {row['step']:,} | {row['bits_per_sample']:.3f} |" for row in rows]
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    del argv
    rows = study(
        cli.CONFIG.value,
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
    cli.run(main, required=(cli.CONFIG, cli.WORKDIR, cli.DATA_DIR))
