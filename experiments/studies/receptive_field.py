"""Receptive fields: models of music with growing left context, trained and compared.

    python -m experiments.studies.receptive_field --data_dir=corpora --workdir=runs/receptive_field

Trains variants of a config (experiments/configs/violin.py by default) for `--num_steps` each, one
after the other. All have the same layers but for the dilations and the context stack, train on
the same windows, and are scored on the same held-out recordings, whole. Each then continues the
beginning of a held-out recording: `notes.png` shows the continuations by pitch, below that of the
recording, and `bits.png` the scores. A variant that is trained already is only scored again; after
an interruption the same command goes on.
"""

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
import soundfile
from absl import flags

import data
from experiments.common import cli, plots, reporting, restore
from experiments.configs import violin
from experiments.studies import receptive_field_plots, variants
from experiments.tasks import generation
from experiments.tasks.evaluation import evaluate
from wavenet_jax import InputError, receptive_field

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.JSON, cli.CONFIG, cli.NUM_STEPS, cli.VARIANTS, cli.SEED)
cli.takes(cli.PRIME_S)
_GENERATED_S = flags.DEFINE_float("generated_s", 4.0, "Length of the continuation.", 0.0)

PRIME_S = 5.0
"""Length of the beginning where --prime_s is not given."""


def _main_stack(*powers: int) -> variants.Change:
    """Dilations 1 to 3 ** (n - 1) for each n, and no context stack."""
    dilations = tuple(3**i for n in powers for i in range(n))
    return lambda config: config.model.update(dilations=dilations, context_stacks=())


def _context_stack(layers: int) -> variants.Change:
    def change(config: ml_collections.ConfigDict) -> None:
        (stack,) = config.model.context_stacks
        stack = {**stack, "dilations": tuple(2**i for i in range(layers))}
        config.model.context_stacks = (stack,)

    return change


VARIANTS: dict[str, variants.Change] = {
    "30 ms": _main_stack(4, 4, 4),
    "182 ms": _main_stack(6, 6),
    "1.2 s with a context stack": _context_stack(7),
    "4 s with a context stack": _context_stack(9),
}
"""By name, how a variant changes the config; the main stack has 12 layers in all of them."""


def compare(
    config: ml_collections.ConfigDict,
    names: Sequence[str] = (),
    *,
    num_steps: int,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    prime_s: float,
    generated_s: float,
    seed: int = 0,
) -> list[dict[str, Any]] | None:
    """Trains, scores and samples variants.

    Args:
      config: that the variants change.
      names: of the variants; all by default.
      num_steps: of each training.
      workdir: folder of the variants' work directories, and of the figures.
      data_dir: folder of corpora.
      prime_s: length of the beginning that each continues.
      generated_s: length of the continuations.
      seed: of the continuations.

    Returns:
      For each variant its `name`, `field_ms`, `num_parameters`, `train_s`, and the figures of
      `evaluation.evaluate`; None if a signal stopped a training.

    Raises:
      InputError, data.DataError: invalid input.
    """
    held_out = data.load(config.dataset, data_dir, config.held_out_split)
    rate = config.sample_rate_hz
    prime, generated = round(prime_s * rate), round(generated_s * rate)
    if prime < 1 or generated < 1:
        raise InputError(
            f"--prime_s is {prime_s} and --generated_s is {generated_s}: give lengths above 0."
        )
    longest = int(held_out.lengths.argmax())
    begin = (int(held_out.lengths[longest]) - prime - generated) // 2
    if begin < 0:
        raise InputError(
            f"The longest recording of the split {held_out.split} lasts "
            f"{held_out.lengths[longest] / rate:.1f} s: give a shorter --prime_s or --generated_s."
        )
    trained = variants.train_variants(
        config, VARIANTS, names, num_steps=num_steps, workdir=workdir, data_dir=data_dir
    )
    if trained is None:
        return None
    recording = held_out.samples(longest, begin, begin + prime + generated)
    folder = cli.require_writable(workdir)
    soundfile.write(folder / "recording.wav", recording, rate, subtype="PCM_16")
    rows, sounds = [], [("the recording", recording[prime:])]
    for name, model in trained.items():
        figures = evaluate(model, model.run.load(data_dir, config.held_out_split))
        variant_dir = variants.folder_of(folder, name)
        history = reporting.history(variant_dir)
        rows.append(
            {
                "name": name,
                "field_ms": 1000 * receptive_field(model.run.wavenet) / rate,
                "num_parameters": sum(x.size for x in jax.tree.leaves(model.params)),
                "train_s": max(row["time_s"] for row in history),
            }
            | figures
        )
        sounds.append((name, _continue(model, variant_dir, recording[:prime], generated_s, seed)))
    figure = receptive_field_plots.notes(sounds, rate)
    plots.save(figure, folder / "notes.png", dpi=100)
    points = [(row["name"], row["field_ms"], row["bits_per_sample"]) for row in rows]
    figure = receptive_field_plots.bits_by_receptive_field(points)
    plots.save(figure, folder / "bits.png", dpi=100)
    return rows


def _continue(
    trained: restore.TrainedModel,
    folder: pathlib.Path,
    beginning: np.ndarray,
    seconds: float,
    seed: int,
) -> np.ndarray:
    """Writes a continuation of the beginning to the folder; returns it without the beginning."""
    prime = folder / "begun.wav"
    soundfile.write(prime, beginning, trained.run.audio.sample_rate_hz, subtype="PCM_16")
    (path,) = generation.sample(trained, out=folder, seconds=seconds, seed=seed, prime=str(prime))
    prime.unlink()
    return soundfile.read(path, dtype="int16")[0][len(beginning) :]


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures of `compare` as a Markdown table."""
    lines = [
        "| | receptive field | parameters | training | bits per sample |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['name']} | {row['field_ms']:.0f} ms | {row['num_parameters']:,} | "
        f"{row['train_s'] / 60:.1f} min | {row['bits_per_sample']:.3f} |"
        for row in rows
    ]
    unigram = f"{rows[0]['unigram_bits_per_sample']:.3f}"
    return "\n".join([*lines, f"| (codes' frequencies alone) | | | | {unigram} |"])


def main(argv: Sequence[str]) -> None:
    del argv
    rows = compare(
        cli.CONFIG.value or violin.get_config(),
        cli.VARIANTS.value or (),
        num_steps=cli.NUM_STEPS.value,
        workdir=cli.WORKDIR.value,
        data_dir=cli.DATA_DIR.value,
        prime_s=PRIME_S if cli.PRIME_S.value is None else cli.PRIME_S.value,
        generated_s=_GENERATED_S.value,
        seed=cli.SEED.value or 0,
    )
    if rows is None:
        sys.exit(variants.STOPPED)
    print(as_table(rows))
    print(f"figures in {cli.WORKDIR.value}")
    cli.write_json(rows)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR))
