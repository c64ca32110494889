"""Speech from a text or from full-context labels, with predicted durations and pitch."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

import data
from experiments.common import cli, generation, prosody, restore
from experiments.common.run import Run
from wavenet_jax import InputError, sampling


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
        trained,
        [path],
        np.array([length]),
        conditions,
        seed=seed,
        temperature=temperature,
        backend=backend,
        precision=precision,
    )
    return length / run.sample_rate_hz


def utterance(run: Run, *, text: str | None = None, labels: str | None = None) -> dict[str, Any]:
    """What is to be said, of a text or a file of labels.

    Raises:
      InputError: both or none are given, or the model was made for the other.
      data.DataError: the text or the file cannot be used.
    """
    if (text is None) == (labels is None):
        raise InputError("Give either --text or --hts_labels.")
    prosody.require_contexts(run)
    if labels is not None:
        if "questions" not in run.classes:
            raise InputError(
                f"--hts_labels is {labels}, but the model takes no labels of HTS: give --text."
            )
        return data.hts.utterance(labels)
    assert text is not None
    voice = run.config.get("voice")
    if "phones" not in run.classes or not voice:
        raise InputError(
            "The model's phones are not eSpeak's, so that no text can be said: give "
            "--hts_labels=FILE, or train with config.voice on eSpeak's phones."
        )
    return data.espeak.utterance(text, voice=voice, phones=run.classes["phones"])


def _global_condition(run: Run, speaker: str | None) -> np.ndarray | None:
    if not run.global_labels:
        if speaker is not None:
            raise InputError(f"--speaker is {speaker}, but the model has one voice: leave it out.")
        return None
    if speaker is None:
        names = ", ".join(run.classes[run.global_labels[0]])
        raise InputError(f"--speaker is missing: name one of {names}.")
    return run.named_condition(speaker)
