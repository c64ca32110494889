"""Generates recordings from a checkpoint.

    python -m experiments.sample --workdir=runs/fsdd --out=runs/fsdd/samples \\
        --num_samples=4 --seconds=1 --seed=0 --label=jackson

Conditions come by name (`--label=jackson,theo` in turn), or from the recordings of a
corpus (`--data_dir=DIR --split=test`: recording i's label and phones for sample i); a
vocoder's mel spectrogram from any recording (`--mel_from=FILE`), or from a file of numpy that this
project or another toolkit wrote (`--mel=FILE.npy --mel_convention=tacotron2`; docs/vocoder.md).
The waveform of sample i depends on the seed and i, not on how many are made, nor on the
`--backend`; with --multihost each process writes its share of the files. On a CPU
`--precision=int8` is the fastest; what it costs is in docs/benchmarks.md.
"""

from collections.abc import Sequence

from absl import flags

from experiments.common import cli, processes, prosody, restore
from experiments.tasks.generation import sample
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.OUT, cli.STEP, cli.NUM_SAMPLES, cli.SECONDS, cli.SEED)
cli.takes(cli.PRIME, cli.LABEL, cli.DATA_DIR, cli.SPLIT, cli.MEL_CONVENTION)
cli.takes(*cli.SAMPLING, *cli.PROCESSES)
_MEL = flags.DEFINE_string(
    "mel", None, "File of numpy with the mel spectrogram that a vocoder is given, for each sample."
)
_MEL_FROM = flags.DEFINE_string(
    "mel_from", None, "Recording whose mel spectrogram a vocoder is given, for each sample."
)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.join_processes()
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    corpus = None
    if cli.SPLIT.value:
        if cli.DATA_DIR.value is None:
            raise InputError("--split is given without --data_dir: name the folder of corpora.")
        corpus = trained.run.load(cli.DATA_DIR.value, cli.SPLIT.value)
    sampling = cli.sampling_config()
    paths = sample(
        trained,
        out=cli.OUT.value,
        num_samples=cli.NUM_SAMPLES.value,
        seconds=cli.SECONDS.value,
        seed=cli.SEED.value or 0,
        sampling=sampling,
        spoken=prosody.for_matching(sampling, cli.WORKDIR.value, trained.run),
        prime=cli.PRIME.value,
        labels=cli.LABEL.value,
        corpus=corpus,
        mel=_MEL.value,
        mel_from=_MEL_FROM.value,
        mel_convention=cli.MEL_CONVENTION.value,
    )
    if processes.is_first():
        print(f"{len(paths)} recordings of step {trained.step} in {cli.OUT.value}")


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.OUT))
