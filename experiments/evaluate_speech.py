"""Evaluates synthesised speech: intelligibility, pitch and durations.

    python -m experiments.evaluate_speech --workdir=runs/tts --data_dir=corpora --split=test \\
        --out=runs/tts/spoken --num_recordings=20

Each recording of a split is synthesised twice: *copied*, with its own durations and pitch, and
*spoken*, from its phones alone, with those that the networks of `train_prosody` predict. An
independent recogniser (PocketSphinx, of single words of the split's texts, or of phones) gives
error rates of both and of the recordings. Praat tracks the pitch of copies and recordings, with a
lower threshold of voicing than the corpus's, as the copies are rougher; it is compared frame by
frame, and so are the predicted durations and pitch.
"""

import pathlib
from collections.abc import Sequence

from experiments.common import cli, prosody, restore
from experiments.metrics import f0, prosody_errors
from experiments.tasks.speech_evaluation import KINDS, evaluate_speech

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT, cli.STEP, cli.NUM_RECORDINGS)
cli.takes(cli.SEED, cli.JSON, *cli.SAMPLING)


def main(argv: Sequence[str]) -> None:
    del argv
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    spoken = prosody.load(cli.WORKDIR.value, trained.run)
    figures = evaluate_speech(
        trained,
        spoken,
        trained.run.load(cli.DATA_DIR.value, cli.SPLIT.value),
        out=cli.OUT.value,
        num_recordings=cli.NUM_RECORDINGS.value,
        seed=cli.SEED.value or 0,
        sampling=cli.sampling_config(),
    )
    print("| | recorded | copied | spoken |\n|---|---|---|---|")
    for name in ("word_error_rate", "phone_error_rate"):
        if name in figures:
            cells = " | ".join(f"{figures[name][kind]:.1%}" for kind in KINDS)
            print(f"| {name.replace('_', ' ')} | {cells} |")
    print(f"the copies' pitch: {f0.sentence(figures['copied_pitch'])}")
    print(f"predicted: {prosody_errors.sentence(figures['prosody'])}")
    print(
        f"{figures['num_recordings']} recordings, {figures['seconds']:.1f} s, of step "
        f"{trained.step} in {pathlib.Path(cli.OUT.value)}"
    )
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT))
