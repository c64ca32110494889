"""Trains the networks of durations, pitch and spectra that speaking needs, beside a WaveNet.

    python -m experiments.train_prosody --workdir=runs/tts --data_dir=corpora

For a checkpoint conditioned on linguistic features (`configs/tts.py`), on the corpus it was
trained on. Their settings are the section `prosody` of the config that the WaveNet was trained
with, or of another one, with `--config=experiments/configs/tts.py --config.prosody.channels=32`.
They are kept in `WORKDIR/prosody`. Stopped by Ctrl-C or SIGTERM, the same command goes on; one that
is there already is not trained again. At the end their errors on held-out recordings are printed.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from experiments.common import cli, prosody, restore
from experiments.configs.schema import from_config_dict
from experiments.metrics import prosody_errors
from experiments.tasks.prosody_training import train_prosody

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.STEP, cli.CONFIG, cli.JSON)


def main(argv: Sequence[str]) -> None:
    del argv
    run = restore.load(cli.WORKDIR.value, cli.STEP.value).run
    if cli.CONFIG.value is not None:
        settings = from_config_dict(cli.CONFIG.value).prosody
        run = dataclasses.replace(run, config=dataclasses.replace(run.config, prosody=settings))
    if not train_prosody(run, workdir=cli.WORKDIR.value, data_dir=cli.DATA_DIR.value):
        return
    split = run.config.held_out_split
    figures: dict[str, Any] = prosody_errors.prosody_errors(
        prosody.load(cli.WORKDIR.value, run), run.load(cli.DATA_DIR.value, split)
    )
    print(f"{split}: {prosody_errors.sentence(figures)}")
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR))
