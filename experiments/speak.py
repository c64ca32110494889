"""Says a sentence: from text to a wav file (section 3.2).

    python -m experiments.speak --workdir=runs/tts --out=hello.wav \\
        --text="the curious judge followed her shadow"

For a run that `experiments.train` and `experiments.train_prosody` made. eSpeak NG makes phones,
stress and words of the text; or full-context labels of HTS are given instead, with
`--hts_labels=FILE`, to a model of the `hts` corpus. A model says how long each phone lasts, for
labels too, whose times are not used; another, where WaveNet hears it, how high the voice is.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

import data
from experiments import sample
from experiments.common import cli, prosody, restore
from experiments.common.run import Experiment
from wavenet_jax import InputError, sampling

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("seed")
flags.declare_key_flag("step")
flags.declare_key_flag("temperature")
flags.declare_key_flag("backend")
flags.declare_key_flag("precision")
flags.declare_key_flag("out")

_TEXT = flags.DEFINE_string("text", None, "What to say.")
_LABELS = flags.DEFINE_string(
    "hts_labels", None, "File of HTS full-context labels to say, instead of --text."
)
_SPEAKER = flags.DEFINE_string(
    "speaker", None, "Who says it, of a model of several; with several labels joined by +."
)


def speak(
    trained: restore.TrainedModel,
    spoken: prosody.Prosody,
    example: Mapping[str, Any],
    *,
    out: str | os.PathLike[str],
    speaker: str | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    backend: sampling.Backend = "auto",
    precision: sampling.Precision = "float32",
) -> float:
    """Says what `utterance` makes of a text.

    Args:
      trained: of `restore.load`.
      spoken: durations and pitch, of `prosody.load`.
      example: what is said.
      out: the wav file, which appears once it is complete.
      speaker: by name; needed where the model has several.
      seed: all that the waveform depends on beside.
      temperature: of the distribution.
      backend, precision: as for `sampling.generate`.

    Returns:
      How many seconds it lasts.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
    """
    experiment = trained.experiment
    condition = _global_condition(experiment, speaker)
    contexts = prosody.contexts_of(experiment, example)
    frames, length = spoken.frames(contexts, prosody.voice_of(experiment, condition))
    conditions: dict[str, Any] = {"local_condition": frames[None]}
    if condition is not None:
        conditions["global_condition"] = condition[None]
    path = pathlib.Path(out)
    cli.require_writable(path.parent)
    sample.write_generated(
        trained,
        [path],
        np.array([length]),
        conditions,
        seed=seed,
        temperature=temperature,
        backend=backend,
        precision=precision,
    )
    return length / experiment.sample_rate_hz


def utterance(
    experiment: Experiment, *, text: str | None = None, labels: str | None = None
) -> dict[str, Any]:
    """What is to be said, of a text or a file of labels.

    Raises:
      InputError: both or none are given, or the model was made for the other.
      data.DataError: the text or the file cannot be used.
    """
    if (text is None) == (labels is None):
        raise InputError("Give either --text or --hts_labels.")
    prosody.require_contexts(experiment)
    if labels is not None:
        if "questions" not in experiment.classes:
            raise InputError(
                f"--hts_labels is {labels}, but the model takes no labels of HTS: give --text."
            )
        return data.hts.utterance(labels)
    assert text is not None
    voice = experiment.config.get("voice")
    if "phones" not in experiment.classes or not voice:
        raise InputError(
            "The model's phones are not eSpeak's, so that no text can be said: give "
            "--hts_labels=FILE, or train with config.voice on eSpeak's phones."
        )
    return data.espeak.utterance(text, voice=voice, phones=experiment.classes["phones"])


def _global_condition(experiment: Experiment, speaker: str | None) -> np.ndarray | None:
    if not experiment.global_labels:
        if speaker is not None:
            raise InputError(f"--speaker is {speaker}, but the model has one voice: leave it out.")
        return None
    if speaker is None:
        names = ", ".join(experiment.classes[experiment.global_labels[0]])
        raise InputError(f"--speaker is missing: name one of {names}.")
    return experiment.named_condition(speaker)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, out=FLAGS.out)
    trained = restore.load(FLAGS.workdir, restore.STEP.value)
    example = utterance(trained.experiment, text=_TEXT.value, labels=_LABELS.value)
    seconds = speak(
        trained,
        prosody.load(FLAGS.workdir, trained.experiment),
        example,
        out=FLAGS.out,
        speaker=_SPEAKER.value,
        seed=cli.SEED.value or 0,
        temperature=FLAGS.temperature,
        backend=FLAGS.backend,
        precision=FLAGS.precision,
    )
    print(f"{seconds:.2f} s of step {trained.step} in {FLAGS.out}")


if __name__ == "__main__":
    cli.run(main)
