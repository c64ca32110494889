"""All that waits for a GPU, in 25 minutes: tests, benchmark, two models trained and exported.

    python -m experiments.gpu_campaign --data_dir=corpora --out=campaign
    python -m experiments.gpu_campaign --data_dir=corpora --out=campaign --rehearse

Its parts, each with its share of `--budget_minutes`: `tests`, those marked `gpu`; `benchmark`,
generation with the backends `scan` and `pallas`, and training; `text_to_speech` and `vocoder`, the
recipes of these names with a larger batch and wider layers, trained, exported and heard. A trial
gives the rate from which the steps of a training are set. What needs more than its share is
stopped; what fails is recorded, and the next part runs.

`--out` gets `campaign.json` and `campaign.md`, written anew after each part, `logs/`, and of each
model `NAME/export/` and sound. The corpora, prepared in `--data_dir` beforehand (the recipes'
docstrings have the commands), travel to the GPU with the checkout, so that they must not exceed 64
MiB. `--rehearse` runs the same commands on the CPU with few steps.
"""

import os
import pathlib
import signal
import sys
from collections.abc import Sequence

from absl import flags

from experiments.common import cli
from experiments.tasks import campaign
from wavenet_jax import InputError

cli.takes(cli.DATA_DIR, cli.OUT)
_BUDGET_MINUTES = flags.DEFINE_float("budget_minutes", 25.0, "Time for all parts.", 0.1)
_REHEARSE = flags.DEFINE_bool("rehearse", False, "Run the same on the CPU, with few steps.")
_PARTS = flags.DEFINE_list("parts", None, "Which parts to run; all by default.")


def main(argv: Sequence[str]) -> None:
    del argv
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what runs, too
    out, data_dir = cli.require_writable(cli.OUT.value), pathlib.Path(cli.DATA_DIR.value)
    size = campaign.check_corpora(data_dir)
    print(f"{size / 2**20:.1f} MiB of corpora", flush=True)
    parts = campaign.plan(out, data_dir, rehearse=_REHEARSE.value)
    known = [part.name for part in parts]
    for name in _PARTS.value or []:
        if name not in known:
            raise InputError(f"--parts has {name!r}: use some of {', '.join(known)}.")
    chosen = [part for part in parts if part.name in (_PARTS.value or known)]
    if _REHEARSE.value:
        os.environ["JAX_PLATFORMS"] = "cpu"
    summary = campaign.run(chosen, out=out, seconds=60 * _BUDGET_MINUTES.value)
    print(f"\n{campaign.as_table(summary)}\n\n{summary['wall_s']:.0f} s in {out}")


if __name__ == "__main__":
    cli.run(main, required=(cli.DATA_DIR, cli.OUT))
