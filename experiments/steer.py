"""Generates sound that satisfies a constraint: a key, onsets a second, or a contour of loudness.

    python -m experiments.steer --workdir=experiments/pretrained/violin --prime=RECORDING \\
        --prime_s=2 --constraint=key:D_minor --way=chunks --num_samples=4 --seconds=2 --out=steered
    python -m experiments.steer --workdir=experiments/pretrained/violin --prime=RECORDING \\
        --constraint=onsets:4-6 --way=best --num_candidates=16 --out=steered
    python -m experiments.steer --workdir=experiments/pretrained/violin --prime=RECORDING \\
        --constraint=loudness:0,12+-3 --way=chunks --chunk_s=0.25 --out=steered

The constraint is of what is generated, without the recording that it continues. `--way=chunks`
keeps the model's state at the beginning of each chunk, draws --num_candidates continuations from
it, and goes on with the best; where that fails the constraint it goes back a chunk, up to
--max_backtracks times. What each way is worth is in docs/steering.md.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.common import cli, restore
from experiments.tasks.steering import WAYS, steer, table

cli.takes(cli.WORKDIR, cli.OUT, cli.STEP, cli.NUM_SAMPLES, cli.SECONDS, cli.SEED, cli.JSON)
cli.takes(cli.PRIME, cli.LABEL, *cli.STEERING)
cli.takes(cli.TEMPERATURE, cli.TOP_P, cli.BACKEND, cli.PRECISION)
_CONSTRAINT: flags.FlagHolder[Any] = flags.DEFINE_string(
    "constraint",
    None,
    "What is to hold: key:D_minor, onsets:3-5 (a second) or loudness:0,12+-3 (dB, from the "
    "beginning to the end, and a tolerance).",
)
_WAY: flags.FlagHolder[Any] = flags.DEFINE_enum(
    "way",
    "chunks",
    WAYS,
    "As it comes (sampling), the likeliest or the best of --num_candidates, or chunk by chunk.",
)


def main(argv: Sequence[str]) -> None:
    del argv
    found = steer(
        restore.load(cli.WORKDIR.value, cli.STEP.value),
        constraint=_CONSTRAINT.value,
        way=_WAY.value,
        out=cli.OUT.value,
        num_samples=cli.NUM_SAMPLES.value,
        seconds=cli.SECONDS.value,
        seed=cli.SEED.value or 0,
        drawing=cli.sampling_config(),
        prime=cli.PRIME.value,
        prime_s=cli.PRIME_S.value,
        labels=cli.LABEL.value,
        num_candidates=cli.NUM_CANDIDATES.value,
        chunk_s=cli.CHUNK_S.value,
        max_backtracks=cli.MAX_BACKTRACKS.value,
    )
    print(table(found))
    cli.write_json(found)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.OUT, _CONSTRAINT))
