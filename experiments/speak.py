"""Text-to-speech: synthesises a text, or HTS labels, into a wav file or a listener's ear.

    python -m experiments.speak --workdir=runs/tts --out=hello.wav \\
        --text="the curious judge followed her shadow"
    python -m experiments.speak --workdir=experiments/pretrained/tts --play --precision=int8 \\
        --text="the curious judge followed her shadow" --speed=0.9 --pitch_semitones=2
    python -m experiments.speak --workdir=experiments/pretrained/digits --out=- --text="two" | \\
        aplay -f S16_LE -r 16000

For a run of `experiments.train` and `experiments.train_prosody`. eSpeak NG gives phones, stress and
words of the text; for a model of the `hts` corpus, full-context labels are given instead, with
`--hts_labels=FILE`, whose times are not used. One network predicts the duration of each phone,
another the pitch, if the WaveNet is conditioned on it. With `--play`, or with `--out=-`, which
writes 16-bit samples without a header to a pipe, the sound is heard while it is generated.
"""

import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.common import cli, playing, prosody, restore
from experiments.common.prosody import MAX_SEMITONES, MAX_SPEED, MIN_SPEED
from experiments.tasks.speech import speak, stream, utterance
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.OUT, cli.STEP, cli.SEED, *cli.SAMPLING)
_TEXT = flags.DEFINE_string("text", None, "Text to synthesise.")
_LABELS = flags.DEFINE_string(
    "hts_labels", None, "File of HTS full-context labels to synthesise, instead of --text."
)
_SPEAKER = flags.DEFINE_string(
    "speaker", None, "Name of the speaker, for a model of several; several labels joined by +."
)
_SPEED: flags.FlagHolder[Any] = flags.DEFINE_float(
    "speed", 1.0, "How fast it is spoken; 1 as predicted.", MIN_SPEED, MAX_SPEED
)
_PITCH: flags.FlagHolder[Any] = flags.DEFINE_float(
    "pitch_semitones",
    0.0,
    "How much higher than predicted, for a model of features with F0.",
    -MAX_SEMITONES,
    MAX_SEMITONES,
)
_PLAY = flags.DEFINE_bool("play", False, "Plays it while it is generated, instead of --out.")

PIPE = "-"


def main(argv: Sequence[str]) -> None:
    del argv
    out = cli.OUT.value
    if (out is None) == (not _PLAY.value):
        raise InputError("Give either --out=FILE, - for a pipe, or --play.")
    if out == PIPE and sys.stdout.isatty():
        raise InputError("--out is -, and the output is a terminal: lead it into a pipe or a file.")
    delivery = prosody.Delivery(_SPEED.value, _PITCH.value)
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    example = utterance(trained.run, text=_TEXT.value, labels=_LABELS.value)
    spoken = prosody.load(cli.WORKDIR.value, trained.run)
    options: dict[str, Any] = {
        "speaker": _SPEAKER.value,
        "seed": cli.SEED.value or 0,
        "sampling": cli.sampling_config(),
        "delivery": delivery,
    }
    if out not in (None, PIPE):
        seconds = speak(trained, spoken, example, out=out, **options)
        print(f"{seconds:.2f} s of step {trained.step} in {out}")
        return
    speech = stream(trained, spoken, example, **options)
    rate, whole = speech.sample_rate_hz, f"{speech.seconds:.2f} s of step {trained.step}"
    if out == PIPE:
        print(f"{whole}: 16-bit samples, one channel, {rate} Hz", file=sys.stderr)
        playing.write_pcm(speech.chunks)
        return
    late = playing.play(speech.chunks, rate, speech.num_samples)
    print(whole)
    if late:
        print(
            f"{late} chunks came too late to be heard without a gap: --precision=int8 is the "
            "fastest on a CPU.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR,))
