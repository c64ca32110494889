"""What each part of the model is worth: the same short training with it and without.

    python -m experiments.studies.ablation --data_dir=corpora --workdir=runs/ablation

Trains variants of a config (experiments/configs/fsdd.py unless told otherwise) for
`--num_steps` each, one after the other, and scores them on whole validation recordings.
All of them predict the same mu-law codes, so that their bits compare. A variant that is
trained already is only scored again; stopped, the same command goes on.
"""

import copy
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections
from absl import flags

from experiments import evaluate, train
from experiments.common import cli, restore
from experiments.configs import fsdd
from wavenet_jax import InputError

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("config")
_NUM_STEPS = flags.DEFINE_integer("num_steps", 200, "Training steps of each variant.")
_VARIANTS = flags.DEFINE_list("variants", None, "Which to train; all by default.")

Change = Callable[[ml_collections.ConfigDict], None]

MEL = {
    "features": "mel",
    "channels": 32,
    "hop_samples": 100,
    "n_fft": 256,
    "num_mels": 20,
    "fmin_hz": 0.0,
    "fmax_hz": 4000.0,
}
CONTEXT_STACK = {"hop_samples": 100, "dilations": (1, 2, 4), "channels": 32}


def _no_labels(config: ml_collections.ConfigDict) -> None:
    config.global_condition = None


def _speaker_and_digit(config: ml_collections.ConfigDict) -> None:
    config.global_condition.labels = ("speaker", "digit")


def _model(**fields: Any) -> Change:
    return lambda config: config.model.update(fields)


def _context_stack(config: ml_collections.ConfigDict) -> None:
    config.model.context_stacks = (CONTEXT_STACK,)


def _mel(**fields: Any) -> Change:
    def change(config: ml_collections.ConfigDict) -> None:
        config.local_condition = ml_collections.ConfigDict(MEL | fields)

    return change


VARIANTS: dict[str, Change] = {
    "speaker (the config)": lambda config: None,
    "unconditioned": _no_labels,
    "speaker and digit": _speaker_and_digit,
    "context stack": _context_stack,
    "logistic mixture": _model(output="logistic_mixture"),
    "gaussian mixture": _model(output="gaussian_mixture"),
    "gaussian": _model(output="gaussian"),
    "mel, repeated": _mel(),
    "mel, linear": _mel(upsampling="linear"),
    "mel, transposed": _mel(upsampling="transposed", factors=(10, 10)),
    "weight normalization": lambda config: config.training.update(weight_normalization=True),
    "dropout 0.05": _model(dropout=0.05),
    "input noise 0.01": lambda config: config.training.update(input_noise=0.01),
}
"""By name, what differs from the config."""


def ablation(
    config: ml_collections.ConfigDict,
    names: Sequence[str],
    *,
    num_steps: int,
    workdir: str,
    data_dir: str,
) -> list[dict[str, Any]]:
    """Trains and scores variants.

    Returns:
      For each its `name`, `bits_per_sample` on the validation split, and the
      `unigram_bits_per_sample` of the same recordings.

    Raises:
      InputError: there is no variant of that name, or the config does not fit.
    """
    rows = []
    for name, trained in train_variants(
        config, VARIANTS, names, num_steps=num_steps, workdir=workdir, data_dir=data_dir
    ):
        corpus = trained.experiment.load(data_dir, config.held_out_split)
        rows.append({"name": name} | evaluate.evaluate(trained, corpus))
    return rows


def train_variants(
    config: ml_collections.ConfigDict,
    variants: Mapping[str, Change],
    names: Sequence[str],
    *,
    num_steps: int,
    workdir: str,
    data_dir: str,
) -> Iterator[tuple[str, restore.TrainedModel]]:
    """Trains variants of a config one after the other, each in a folder of `workdir`.

    Raises:
      InputError: there is no variant of that name, or the config does not fit.
    """
    for name in names:
        if name not in variants:
            raise InputError(f"There is no variant {name!r}: use {', '.join(variants)}.")
    for name in names:
        variant = copy.deepcopy(config)
        variant.num_steps = variant.checkpoint_every = num_steps
        variant.preview_s = 0.0
        variant.held_out_recordings = min(10, config.held_out_recordings)
        with variant.unlocked():  # a config of the command line takes no new names
            variants[name](variant)
        folder = pathlib.Path(workdir) / folder_of(name)
        print(f"{name}:", file=sys.stderr)
        state = train.train(variant, workdir=folder, data_dir=data_dir)
        if int(state.step) < num_steps:  # asked to stop, which `train` has said
            raise KeyboardInterrupt
        yield name, restore.load(folder)


def folder_of(name: str) -> str:
    """The folder of a variant's run."""
    return "".join(c if c.isalnum() else "_" for c in name)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir)
    (num_steps,) = cli.positive_integers("num_steps", [_NUM_STEPS.value])
    rows = ablation(
        cli.CONFIG.value or fsdd.get_config(),
        _VARIANTS.value or list(VARIANTS),
        num_steps=num_steps,
        workdir=FLAGS.workdir,
        data_dir=FLAGS.data_dir,
    )
    print("| variant | bits per sample |\n|---|---|")
    for row in rows:
        print(f"| {row['name']} | {row['bits_per_sample']:.3f} |")
    print(f"| (codes' frequencies alone) | {rows[0]['unigram_bits_per_sample']:.3f} |")
    cli.write_json(rows)


if __name__ == "__main__":
    cli.run(main)
