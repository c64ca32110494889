"""Evaluates synthesised speech: intelligibility, noise, likeness, pitch and durations.

    python -m experiments.evaluate_speech --workdir=runs/tts --data_dir=corpora --split=test \\
        --out=runs/tts/spoken --num_recordings=20

Each recording of a split is synthesised twice: *copied*, with its own durations and pitch, and
*spoken*, from its phones alone, with those that the networks of `train_prosody` predict. An
independent recogniser finds words in both and in the recordings: Moonshine or PocketSphinx (with
the bigrams of the train split's texts), whichever mistakes fewer words of the recordings. The
noise of all three is measured, the copies are compared with the recordings, and predicted durations
and pitch with the true ones. docs/figures.md defines the figures; what needs the extra `quality` is
left out where it is not installed.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

import data
from experiments.common import cli, prosody, restore
from experiments.common.run import Run
from experiments.metrics import prosody_errors, speech_figures
from experiments.tasks.speech_evaluation import KINDS, RECOGNISERS, evaluate_speech

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT, cli.STEP, cli.NUM_RECORDINGS)
cli.takes(cli.SEED, cli.JSON, *cli.SAMPLING)
_RECOGNISER: flags.FlagHolder[Any] = flags.DEFINE_enum(
    "recogniser",
    "auto",
    ["auto", *RECOGNISERS],
    "What finds words; auto takes the one that mistakes fewer words of the recordings.",
)


def _training_texts(run: Run, corpus: data.Corpus) -> list[str]:
    """The texts of the train split, if others are evaluated and recordings have any."""
    if corpus.split == "train" or "text" not in corpus.recording(0):
        return []
    train = run.load(cli.DATA_DIR.value, "train")
    return [train.recording(i)["text"] for i in range(len(train))]


def main(argv: Sequence[str]) -> None:
    del argv
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    spoken = prosody.load(cli.WORKDIR.value, trained.run)
    corpus = trained.run.load(cli.DATA_DIR.value, cli.SPLIT.value)
    figures = evaluate_speech(
        trained,
        spoken,
        corpus,
        out=cli.OUT.value,
        num_recordings=cli.NUM_RECORDINGS.value,
        seed=cli.SEED.value or 0,
        sampling=cli.sampling_config(),
        recogniser=_RECOGNISER.value,
        texts=_training_texts(trained.run, corpus),
    )
    columns = {kind: speech_figures.SpeechFigures(**figures[kind]) for kind in KINDS}
    print(speech_figures.table(columns))
    if "recogniser" in figures:
        tried = ", ".join(f"{name} {rate:.1%}" for name, rate in figures["recognisers"].items())
        print(f"words by {figures['recogniser']}, of the recordings mistaken: {tried}")
    print(f"predicted: {prosody_errors.sentence(figures['prosody'])}")
    print(
        f"{figures['num_recordings']} recordings, {figures['seconds']:.1f} s, of step "
        f"{trained.step} in {pathlib.Path(cli.OUT.value)}"
    )
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT))
