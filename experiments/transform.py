"""Generates recordings again from the embeddings of an autoencoder, as they are or changed.

    python -m experiments.transform --workdir=runs/notes --out=out --label=60 RECORDING...
    python -m experiments.transform --workdir=runs/notes --out=out --label=60 \\
        --mix_with=RECORDING --weights=0,0.25,0.5,0.75,1 RECORDING
    python -m experiments.transform --workdir=runs/notes --out=out --label=60,64,67 \\
        --stretches=0.5,2 RECORDING

Each combination of recording, weight, stretch and label is a wav file. The label is that of the
sound to generate, such as a pitch: another one than the recording's moves it there. A mix is as
long as the shorter of both recordings. `embeddings.png` shows the embeddings, channel by channel
and in the plane of their principal components.
"""

from collections.abc import Sequence

from absl import flags

from experiments.common import cli, restore
from experiments.tasks.transforming import transform
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.OUT, cli.STEP, cli.LABEL, cli.SEED, *cli.SAMPLING)
_MIX_WITH = flags.DEFINE_string("mix_with", None, "File of a recording that each is mixed with.")
_WEIGHTS = flags.DEFINE_list(
    "weights", None, "Weights of that recording in the mix, from 0 to 1; 0.5 by default."
)
_STRETCHES = flags.DEFINE_list(
    "stretches", ["1"], "Factors of the length: 2 plays at half the speed, at the same pitch."
)


def main(argv: Sequence[str]) -> None:
    if _WEIGHTS.value and _MIX_WITH.value is None:
        raise InputError("--weights is given without --mix_with: name the other recording.")
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    paths = transform(
        trained,
        argv[1:],
        out=cli.OUT.value,
        mix_with=_MIX_WITH.value,
        weights=_numbers("weights", _WEIGHTS.value or ["0.5"]),
        stretches=_numbers("stretches", _STRETCHES.value),
        labels=cli.LABEL.value,
        seed=cli.SEED.value or 0,
        sampling=cli.sampling_config(),
    )
    print(f"{len(paths)} recordings of step {trained.step} in {cli.OUT.value}")


def _numbers(name: str, values: Sequence[str]) -> list[float]:
    """The values of a flag as numbers.

    Raises:
      InputError: one is none.
    """
    try:
        return [float(value) for value in values]
    except ValueError as error:
        raise InputError(f"--{name} is {','.join(values)!r}: give numbers.") from error


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.OUT), takes_files=True)
