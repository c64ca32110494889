"""Speech from a text or from full-context labels, with predicted durations and pitch."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

import data
from experiments.common import cli, prosody, restore
from experiments.common.run import Run
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.tasks import generation
from wavenet_jax import InputError


def speak(
    trained: restore.TrainedModel,
    spoken: prosody.Prosody,
    example: Mapping[str, Any],
    *,
    out: str | os.PathLike[str],
    speaker: str | None = None,
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
) -> float:
    """Synthesises an utterance into a wav file.

    Args:
      trained: of `restore.load`.
      spoken: the networks of durations and pitch, of `prosody.load`.
      example: of `utterance`.
      out: the wav file, which appears once it is complete.
      speaker: by name; needed if the model has several.
      seed: of the random numbers.
      sampling: how it is drawn.

    Returns:
      Its length in seconds.

    Raises:
      InputError, data.DataError: bad input.
    """
    run = trained.run
    condition = _global_condition(run, speaker)
    contexts = prosody.contexts_of(run, example)
    frames, length = spoken.frames(contexts, prosody.voice_of(run, condition))
    conditions: dict[str, Any] = {"local_condition": frames[None]}
    if condition is not None:
        conditions["global_condition"] = condition[None]
    path = pathlib.Path(out)
    cli.require_writable(path.parent)
    generation.write_generated(
        trained, [path], np.array([length]), conditions, seed=seed, sampling=sampling
    )
    return length / run.audio.sample_rate_hz


def utterance(run: Run, *, text: str | None = None, labels: str | None = None) -> dict[str, Any]:
    """The phones or labels of a text or of a file of HTS labels, without times.

    Raises:
      InputError: both or none are given, or the model takes the other.
      data.DataError: the text or the file cannot be used.
    """
    if (text is None) == (labels is None):
        raise InputError("Give either --text or --hts_labels.")
    prosody.require_contexts(run)
    if labels is not None:
        if not run.questions:
            raise InputError(
                f"--hts_labels is {labels}, but the model takes no labels of HTS: give --text."
            )
        return data.hts.utterance(labels)
    assert text is not None
    if "phones" not in run.audio.classes or run.config.voice is None:
        raise InputError(
            "The model's phones are not eSpeak's, so that it cannot speak a text: give "
            "--hts_labels=FILE, or train with --config.voice on eSpeak's phones."
        )
    return data.espeak.utterance(text, voice=run.config.voice, phones=run.audio.classes["phones"])


def _global_condition(run: Run, speaker: str | None) -> np.ndarray | None:
    if not run.audio.global_labels:
        if speaker is not None:
            raise InputError(f"--speaker is {speaker}, but the model has one voice: leave it out.")
        return None
    if speaker is None:
        names = ", ".join(run.audio.classes[run.audio.global_labels[0]])
        raise InputError(f"--speaker is missing: name one of {names}.")
    return run.audio.named_condition(speaker)
