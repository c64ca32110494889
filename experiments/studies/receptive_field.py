"""What a larger receptive field is worth: models of music that see further and further.

    python -m experiments.studies.receptive_field --data_dir=corpora --workdir=runs/receptive_field

Trains variants of a config (experiments/configs/violin.py unless told otherwise) for
`--num_steps` each, one after the other. All have the same layers but for the dilations and the
context stack, train on the same windows, and are scored on the same held-out recordings,
whole. Then each goes on from where a held-out recording breaks off, and `notes.png` shows what
by pitch, with what the recording itself does; `bits.png` has the scores. A variant that is
trained already is only scored again; stopped, the same command goes on.
"""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
import soundfile
from absl import flags

import data
from experiments import evaluate, sample
from experiments.common import cli, plots, restore
from experiments.configs import violin
from experiments.studies import ablation, receptive_field_plots
from wavenet_jax import InputError, receptive_field

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("config")
flags.declare_key_flag("seed")
flags.declare_key_flag("num_steps")
flags.declare_key_flag("variants")
_PRIME_S = flags.DEFINE_float("prime_s", 5.0, "How much of a recording each variant is given.")
_GENERATED_S = flags.DEFINE_float("generated_s", 4.0, "How long each then goes on.")


def _main_stack(*powers: int) -> ablation.Change:
    """Dilations 1 to 2 ** (n - 1) for each n, and no context stack."""
    dilations = tuple(2**i for n in powers for i in range(n))
    return lambda config: config.model.update(dilations=dilations, context_stacks=())


def _context_stack(layers: int) -> ablation.Change:
    def change(config: ml_collections.ConfigDict) -> None:
        (stack,) = config.model.context_stacks
        stack = {**stack, "dilations": tuple(2**i for i in range(layers))}
        config.model.context_stacks = (stack,)

    return change


VARIANTS: dict[str, ablation.Change] = {
    "128 ms": _main_stack(9, 9),
    "272 ms": _main_stack(11, 7),
    "1 s with a context stack": _context_stack(7),
    "4 s with a context stack": _context_stack(9),
}
"""By name, what differs from the config; the main stack has 18 layers in all of them."""


def compare(
    config: ml_collections.ConfigDict,
    names: Sequence[str],
    *,
    num_steps: int,
    workdir: str,
    data_dir: str,
    prime_s: float,
    generated_s: float,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Trains, scores and samples variants.

    Returns:
      For each its `name`, `field_ms`, `num_parameters`, `train_s`, and what `evaluate` gives.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
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
    heard = held_out.samples(longest, begin, begin + prime + generated)
    folder = cli.require_writable(workdir)
    soundfile.write(folder / "recording.wav", heard, rate, subtype="PCM_16")
    rows, sounds = [], [("the recording", heard[prime:])]
    for name, trained in ablation.train_variants(
        config, VARIANTS, names, num_steps=num_steps, workdir=workdir, data_dir=data_dir
    ):
        model = trained.experiment.model
        scored = evaluate.evaluate(
            trained, trained.experiment.load(data_dir, config.held_out_split)
        )
        run = folder / ablation.folder_of(name)
        rows.append(
            {
                "name": name,
                "field_ms": 1000 * receptive_field(model) / rate,
                "num_parameters": sum(x.size for x in jax.tree.leaves(trained.params)),
                "train_s": _train_s(run),
            }
            | scored
        )
        sounds.append((name, _continued(trained, run, heard[:prime], generated_s, seed)))
    plots.save(receptive_field_plots.notes(sounds, rate), folder / "notes.png", dpi=100)
    points = [(row["name"], row["field_ms"], row["bits_per_sample"]) for row in rows]
    plots.save(receptive_field_plots.bits_by_receptive_field(points), folder / "bits.png", dpi=100)
    return rows


def _continued(
    trained: restore.TrainedModel,
    run: pathlib.Path,
    spoken: np.ndarray,
    seconds: float,
    seed: int,
) -> np.ndarray:
    """What a model makes of the beginning of a recording, without it."""
    begun = run / "begun.wav"
    rate = trained.experiment.sample_rate_hz
    soundfile.write(begun, spoken, rate, subtype="PCM_16")
    (path,) = sample.sample(trained, out=run, seconds=seconds, seed=seed, prime=str(begun))
    begun.unlink()
    return soundfile.read(path, dtype="int16")[0][len(spoken) :]


def _train_s(run: pathlib.Path) -> float:
    lines = (run / "history.jsonl").read_text().splitlines()
    return max(json.loads(line)["time_s"] for line in lines)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir)
    (num_steps,) = cli.positive_integers("num_steps", [FLAGS.num_steps])
    rows = compare(
        cli.CONFIG.value or violin.get_config(),
        FLAGS.variants or list(VARIANTS),
        num_steps=num_steps,
        workdir=FLAGS.workdir,
        data_dir=FLAGS.data_dir,
        prime_s=_PRIME_S.value,
        generated_s=_GENERATED_S.value,
        seed=cli.SEED.value or 0,
    )
    print("| | receptive field | parameters | training | bits per sample |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['name']} | {row['field_ms']:.0f} ms | {row['num_parameters']:,} | "
            f"{row['train_s'] / 60:.1f} min | {row['bits_per_sample']:.3f} |"
        )
    print(f"| (codes' frequencies alone) | | | | {rows[0]['unigram_bits_per_sample']:.3f} |")
    print(f"pictures in {FLAGS.workdir}")
    cli.write_json(rows)


if __name__ == "__main__":
    cli.run(main)
