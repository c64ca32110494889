"""Text-to-speech: synthesises a text, or HTS labels, into a wav file (section 3.2).

    python -m experiments.speak --workdir=runs/tts --out=hello.wav \\
        --text="the curious judge followed her shadow"

For a run of `experiments.train` and `experiments.train_prosody`. eSpeak NG gives phones, stress and
words of the text; for a model of the `hts` corpus, full-context labels are given instead, with
`--hts_labels=FILE`, whose times are not used. One network predicts the duration of each phone,
another the pitch, if the WaveNet is conditioned on it.
"""

from collections.abc import Sequence

from absl import flags

from experiments.common import cli, prosody, restore
from experiments.tasks.speech import speak, utterance

cli.takes(cli.WORKDIR, cli.OUT, cli.STEP, cli.SEED, *cli.SAMPLING)
_TEXT = flags.DEFINE_string("text", None, "Text to synthesise.")
_LABELS = flags.DEFINE_string(
    "hts_labels", None, "File of HTS full-context labels to synthesise, instead of --text."
)
_SPEAKER = flags.DEFINE_string(
    "speaker", None, "Name of the speaker, for a model of several; several labels joined by +."
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
        sampling=cli.sampling_config(),
    )
    print(f"{seconds:.2f} s of step {trained.step} in {cli.OUT.value}")


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.OUT))
