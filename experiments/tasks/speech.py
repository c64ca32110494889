"""Speech from a text or from full-context labels, with predicted durations and pitch.

A text becomes phones (eSpeak NG), these durations and pitch (`common.prosody`), these frames of
local features, and these chunks of sound, each of which is there as soon as it is generated.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

import data
from experiments.common import cli, prosody, restore
from experiments.common.prosody import AS_PREDICTED, Delivery
from experiments.common.run import Run
from experiments.common.sampling import AS_IT_IS, FILTERS, Sampling
from experiments.common.spectral_matching import Spectrum
from experiments.tasks import generation
from wavenet_jax import InputError

MAX_CHARACTERS = 10_000
MAX_SECONDS = 600.0
"""Of speech at a time: the networks of prosody read the whole of it."""

STREAMED_CHUNK_S = 0.05
"""Sound of a chunk for someone who is listening: the first is soon there."""


class Speech(NamedTuple):
    """An utterance while it is generated.

    Attributes:
      sample_rate_hz: of the sound.
      num_samples: of the whole, which is known before the first of them is generated.
      chunks: int16 `[N]` each, N > 0, one after the other; closing the generator ends the work.
      primed_samples: the first of them, of a recording that the others go on from.
      spectrum: that the whole is to have, where a network predicts it.
    """

    sample_rate_hz: int
    num_samples: int
    chunks: Iterator[np.ndarray]
    primed_samples: int = 0
    spectrum: Spectrum | None = None

    @property
    def seconds(self) -> float:
        """The length of the whole."""
        return self.num_samples / self.sample_rate_hz


def speak(
    trained: restore.TrainedModel,
    spoken: prosody.Prosody,
    example: Mapping[str, Any],
    *,
    out: str | os.PathLike[str],
    speaker: str | None = None,
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
    delivery: Delivery = AS_PREDICTED,
) -> float:
    """Synthesises an utterance into a wav file.

    Args:
      out: the wav file, which appears once it is complete.
      trained, spoken, example, speaker, seed, delivery: as in `stream`.
      sampling: how it is drawn, and which filters the whole of it passes.

    Returns:
      Its length in seconds.

    Raises:
      InputError, data.DataError: bad input.
    """
    speech = _begin(trained, spoken, example, speaker, seed, sampling, delivery, None)
    # A missing filter is refused here, before any file is opened.
    sampling.filtered(np.zeros(1, np.int16), speech.sample_rate_hz)
    spectra = None if speech.spectrum is None else [speech.spectrum]
    generation.require_spectra(sampling, spectra)
    path = pathlib.Path(out)
    cli.require_writable(path.parent)
    generation.write_chunks(
        ([chunk] for chunk in speech.chunks),
        [path],
        np.array([speech.num_samples]),
        speech.sample_rate_hz,
        sampling=sampling,
        spectra=spectra,
    )
    return speech.seconds


def stream(
    trained: restore.TrainedModel,
    spoken: prosody.Prosody,
    example: Mapping[str, Any],
    *,
    speaker: str | None = None,
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
    delivery: Delivery = AS_PREDICTED,
    max_seconds: float = MAX_SECONDS,
) -> Speech:
    """Synthesises an utterance chunk by chunk: the sound that `speak` writes, to the sample.

    Args:
      trained: of `restore.load`.
      spoken: the networks of prosody, of `prosody.load`.
      example: of `utterance`.
      speaker: by name; needed if the model has several.
      seed: of the random numbers.
      sampling: how it is drawn, without a filter.
      delivery: its speed and pitch.
      max_seconds: the longest speech that is made.

    Raises:
      InputError: bad input, a speech that is longer, or a filter, which takes a whole sound.
    """
    for name in FILTERS:
        if strength := getattr(sampling, name):
            raise InputError(
                f"--{name} is {strength}, and that filter takes a whole sound, not one that is "
                "heard while it is generated: leave it out, or write a file with --out=FILE."
            )
    part_samples = round(STREAMED_CHUNK_S * trained.run.audio.sample_rate_hz)
    return _begin(
        trained, spoken, example, speaker, seed, sampling, delivery, part_samples, max_seconds
    )


def _begin(
    trained: restore.TrainedModel,
    spoken: prosody.Prosody,
    example: Mapping[str, Any],
    speaker: str | None,
    seed: int,
    sampling: Sampling,
    delivery: Delivery,
    part_samples: int | None,
    max_seconds: float = MAX_SECONDS,
) -> Speech:
    """An utterance of which all is known but the samples, without the filters of `sampling`."""
    run = trained.run
    condition = _global_condition(run, speaker)
    voice = prosody.voice_of(run, condition)
    frames, length = spoken.frames(
        prosody.contexts_of(run, example), voice, delivery=delivery, max_seconds=max_seconds
    )
    conditions: dict[str, Any] = {"local_condition": frames[None]}
    if condition is not None:
        conditions["global_condition"] = condition[None]
    chunks = trained.generator.generate_batch(
        [length],
        seed=seed,
        temperature=sampling.temperatures(run, frames[None]),
        top_p=sampling.top_p,
        backend=sampling.backend,
        precision=sampling.precision,
        part_samples=part_samples,
        **conditions,
    )
    return Speech(
        run.audio.sample_rate_hz,
        length,
        (chunk for (chunk,) in chunks),
        spectrum=spoken.spectrum_of(frames, voice) if sampling.spectral_matching else None,
    )


def utterance(
    run: Run,
    *,
    text: str | None = None,
    labels: str | None = None,
    max_characters: int = MAX_CHARACTERS,
    process: data.espeak.Process | None = None,
) -> dict[str, Any]:
    """The phones or labels of a text or of a file of HTS labels, without times.

    Args:
      run: of the model that is to speak.
      text: to speak; or else
      labels: the file.
      max_characters: the longest text that is taken.
      process: of eSpeak NG, fresh (`data.espeak.start`), which ends with this; None to start one.

    Raises:
      InputError: both or none are given, the model takes the other, or the text is longer.
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
    if len(text) > max_characters:
        raise InputError(
            f"The text has {len(text)} characters, and at most {max_characters} are spoken at a "
            "time: give it in parts."
        )
    return data.espeak.utterance(
        text, voice=run.config.voice, phones=run.audio.classes["phones"], process=process
    )


def _global_condition(run: Run, speaker: str | None) -> np.ndarray | None:
    if not run.audio.global_labels:
        if speaker is not None:
            raise InputError(f"--speaker is {speaker}, but the model has one voice: leave it out.")
        return None
    if speaker is None:
        names = ", ".join(run.audio.classes[run.audio.global_labels[0]])
        raise InputError(f"--speaker is missing: name one of {names}.")
    return run.audio.named_condition(speaker)
