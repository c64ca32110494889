"""Writes a trained model as a folder of files that travels, with a card.

    python -m experiments.export --workdir=runs/fsdd --out=models/fsdd --precision=bfloat16 \\
        --data_dir=corpora --about="Six speakers saying digits." \\
        --measure="evaluate --data_dir=corpora --split=test"

The folder has `model.safetensors` (the EMA parameters), `config.json` (all that running the model
needs, and checksums), the networks of prosody if the run has them, and the card `README.md`.
Programs that use a model take it as `--workdir`, `wavenet_jax.load` by its path, and training
begins with it by `--config.pretrained`.

Each `--measure` is a program with its flags but `--workdir`: it runs on the written files, and the
card has the command and what it printed.
"""

from collections.abc import Sequence

from absl import flags

from experiments.common import cli
from experiments.tasks.exporting import export

cli.takes(cli.WORKDIR, cli.OUT, cli.STEP, cli.PRECISION, cli.DATA_DIR)
_ABOUT = flags.DEFINE_string("about", "", "What the model is, for the card.")
_LIMITS = flags.DEFINE_string("limits", "", "What it cannot do, for the card.")
_HARDWARE = flags.DEFINE_string("hardware", "", "What it was trained on, for the card.")
_MEASURE = flags.DEFINE_multi_string(
    "measure", [], "Program and flags of a figure for the card, such as 'evaluate --split=test'."
)


def main(argv: Sequence[str]) -> None:
    del argv
    card = export(
        cli.WORKDIR.value,
        out=cli.OUT.value,
        step=cli.STEP.value,
        precision=cli.PRECISION.value,
        about=_ABOUT.value,
        limits=_LIMITS.value,
        hardware=_HARDWARE.value,
        measures=_MEASURE.value,
        data_dir=cli.DATA_DIR.value,
    )
    size = sum(each.num_bytes for each in card.files)
    print(f"{size / 1e6:.2f} MB, {', '.join(each.name for each in card.files)}, in {card.folder}")


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.OUT))
