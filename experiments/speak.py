"""Says a sentence: from text to a wav file (section 3.2).

    python -m experiments.speak --workdir=runs/tts --out=hello.wav \\
        --text="the curious judge followed her shadow"

For a run that `experiments.train` and `experiments.train_prosody` made. eSpeak NG makes phones,
stress and words of the text; or full-context labels of HTS are given instead, with
`--hts_labels=FILE`, to a model of the `hts` corpus. A model says how long each phone lasts, for
labels too, whose times are not used; another, where WaveNet hears it, how high the voice is.
"""

from collections.abc import Sequence

from absl import flags

from experiments.common import cli, prosody, restore
from experiments.tasks.speech import speak, utterance

cli.takes(cli.WORKDIR, cli.OUT, cli.STEP, cli.SEED, cli.TEMPERATURE, cli.BACKEND, cli.PRECISION)
_TEXT = flags.DEFINE_string("text", None, "What to say.")
_LABELS = flags.DEFINE_string(
    "hts_labels", None, "File of HTS full-context labels to say, instead of --text."
)
_SPEAKER = flags.DEFINE_string(
    "speaker", None, "Who says it, of a model of several; with several labels joined by +."
)


def main(argv: Sequence[str]) -> None:
    del argv
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    example = utterance(trained.run, text=_TEXT.value, labels=_LABELS.value)
    seconds = speak(
        trained,
        prosody.load(cli.WORKDIR.value, trained.run),
        example,
        out=cli.OUT.value,
        speaker=_SPEAKER.value,
        seed=cli.SEED.value or 0,
        temperature=cli.TEMPERATURE.value,
        backend=cli.BACKEND.value,
        precision=cli.PRECISION.value,
    )
    print(f"{seconds:.2f} s of step {trained.step} in {cli.OUT.value}")


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.OUT))
