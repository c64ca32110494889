"""Evaluation of synthesised speech: figures of sound, and of predicted prosody."""

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import soundfile
from absl import logging
from tqdm import tqdm

import data
from experiments.common import cli, plots, prosody, restore
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.metrics import error_rates, intelligibility, prosody_errors, speech_figures
from experiments.tasks import generation
from wavenet_jax import InputError

KINDS = ("recorded", "copied", "spoken")
PICTURED = 3
RECOGNISERS = ("moonshine", "pocketsphinx")

Recognise = Callable[[np.ndarray, int], list[str]]


class Recognised(NamedTuple):
    """The labels of recordings, and the recogniser that finds words in them."""

    name: str
    labels: list[list[str]]
    recognise: Recognise


def evaluate_speech(
    trained: restore.TrainedModel,
    spoken: prosody.Prosody,
    corpus: data.Corpus,
    *,
    out: str | os.PathLike[str],
    num_recordings: int | None = None,
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
    recogniser: str = "auto",
    texts: Iterable[str] = (),
) -> dict[str, Any]:
    """Synthesises recordings again, and compares them with the originals.

    Args:
      trained: of `restore.load`.
      spoken: the networks of prosody, of `prosody.load`.
      corpus: recordings with phones, pitch and, to be recognised, `text` in English.
      out: folder for `copied_000.wav`, `spoken_000.wav`, ... and `spectrograms.png`.
      num_recordings: how many of the corpus, its first; all by default.
      seed: of the random numbers; a waveform depends on it and the recording's number.
      sampling: how they are drawn.
      recogniser: one of `RECOGNISERS`, or "auto": the one that mistakes fewer words of the
        recordings, of those that are installed.
      texts: of other recordings of the corpus, for the language model of PocketSphinx.

    Returns:
      For each of `KINDS` its figures (`speech_figures.SpeechFigures`): those of words if the
      recordings have text, and those of copies for "copied". `recogniser`, its name, and
      `recognisers`, the word error rates of those that were tried on the recordings;
      `phone_error_rate` of each of `KINDS`, by PocketSphinx; `prosody`, the errors of the
      predictions (`prosody_errors`); `seconds_ratio`, the length of the spoken recordings over
      that of the originals; `num_recordings`, `seconds` (recorded, in all), `features`,
      `sampling`, `seed`, `step`, `split`, `wall_s`.

    Raises:
      InputError, data.DataError: bad input.
    """
    run, begun_s = trained.run, time.monotonic()
    prosody.require_contexts(run)
    number = len(corpus) if num_recordings is None else num_recordings
    if not 1 <= number <= len(corpus):
        raise InputError(
            f"--num_recordings is {number}, and the split {corpus.split} of {corpus.name} has "
            f"{len(corpus)}: give at least 1, and no more."
        )
    recordings = [corpus.recording(i) for i in range(number)]
    folder = cli.require_writable(out)
    # What cannot be recognised is refused before anything is generated.
    transcripts = _texts(recordings)
    rate = run.audio.sample_rate_hz
    sounds = {"recorded": [each["audio"] for each in recordings]}
    tried: dict[str, float] = {}
    chosen: Recognised | None = None
    if transcripts:
        tried, chosen = _choose(recogniser, recordings, transcripts, texts, rate)
    conditions = [run.global_condition_of(corpus, i) for i in range(number)]
    local_features = run.local_features
    assert local_features is not None
    frames = {"copied": [(local_features(each), len(each["audio"])) for each in recordings]}
    frames["spoken"] = spoken.frames_of(corpus, number)
    voices = [prosody.voice_of(run, condition) for condition in conditions]
    for kind, each in frames.items():
        paths = [folder / f"{kind}_{i:03}.wav" for i in range(number)]
        generation.write_generated(
            trained,
            paths,
            np.array([length for _, length in each]),
            generation.batched([each_frames for each_frames, _ in each], conditions),
            seed=seed,
            sampling=sampling,
            spectra=spoken.spectra_of([each_frames for each_frames, _ in each], voices),
        )
        sounds[kind] = [soundfile.read(path, dtype="int16")[0] for path in paths]
    pairs = [
        (f"{corpus.names[i]} {kind}", sounds[kind][i])
        for i in range(min(PICTURED, number))
        for kind in KINDS
    ]
    figure = plots.spectrograms(pairs, rate, columns=len(KINDS))
    plots.save(figure, folder / "spectrograms.png")
    lengths = {kind: sum(map(len, sounds[kind])) for kind in KINDS}
    figures: dict[str, Any] = {
        kind: speech_figures.to_dict(
            speech_figures.figures(
                sounds[kind],
                rate,
                references=sounds["recorded"] if kind == "copied" else None,
                labels=chosen and chosen.labels,
                recognized=chosen and _recognised(chosen, sounds[kind], rate, kind),
                title=f"measuring {kind}",
            )
        )
        for kind in KINDS
    }
    if chosen:
        figures["recogniser"] = chosen.name
        figures["recognisers"] = tried
        figures["phone_error_rate"] = {
            kind: _phone_error_rate(transcripts, sounds[kind], rate) for kind in KINDS
        }
    return figures | {
        "prosody": prosody_errors.prosody_errors(spoken, corpus, number),
        "seconds_ratio": lengths["spoken"] / lengths["recorded"],
        "num_recordings": number,
        "seconds": round(lengths["recorded"] / rate, 3),
        "features": run.config.local_condition.features,
        "sampling": dataclasses.asdict(sampling),
        "seed": seed,
        "step": trained.step,
        "split": corpus.split,
        "wall_s": round(time.monotonic() - begun_s, 3),
    }


def _texts(recordings: Sequence[dict[str, Any]]) -> list[tuple[list[str], list[str]]]:
    """The words and the phones of each recording's text, without words that the recogniser's
    dictionary lacks; empty if a recording has no text.

    Raises:
      InputError: the dictionary has none of a recording's words.
    """
    if not all("text" in each for each in recordings):
        return []
    every = [intelligibility.words_of(each["text"]) for each in recordings]
    words = [[word for word in each if intelligibility.knows(word)] for each in every]
    if lacking := sorted({word for each in every for word in each} - {w for e in words for w in e}):
        logging.warning(
            "the recogniser's dictionary lacks %s: these words are not scored",
            ", ".join(lacking),
        )
    for recording, each in zip(recordings, words, strict=True):
        if not each:
            raise InputError(
                f"The recogniser's dictionary has none of the words {recording['text'][:60]!r}: "
                "choose recordings of other words."
            )
    return [
        (each, [p for w in each for p in intelligibility.pronunciations(w)[0].split()])
        for each in words
    ]


def _choose(
    recogniser: str,
    recordings: Sequence[dict[str, Any]],
    transcripts: Sequence[tuple[list[str], list[str]]],
    texts: Iterable[str],
    sample_rate_hz: int,
) -> tuple[dict[str, float], Recognised]:
    """The recogniser, and the word error rates of the recordings by each that was tried.

    Raises:
      InputError: the recogniser is not installed.
    """
    vocabulary = {word for words, _ in transcripts for word in words}
    others = [intelligibility.words_of(text) for text in texts]
    vocabulary |= {word for words in others for word in words if intelligibility.knows(word)}

    def by_pocketsphinx(sound: np.ndarray, rate: int) -> list[str]:
        if vocabulary <= set(intelligibility.LEXICON):
            return intelligibility.recognise_digits(sound, rate)
        return intelligibility.recognise_words(sound, rate, vocabulary=vocabulary, texts=others)

    every = {
        "moonshine": Recognised(
            "moonshine",
            [intelligibility.words_of(each["text"]) for each in recordings],
            intelligibility.transcribe,
        ),
        "pocketsphinx": Recognised(
            "pocketsphinx", [words for words, _ in transcripts], by_pocketsphinx
        ),
    }
    if recogniser == "auto":
        names = [name for name in every if name != "moonshine" or intelligibility.has_moonshine()]
    else:
        names = [recogniser]
    sounds = [each["audio"] for each in recordings]
    rates = {}
    for name in names:
        found = _recognised(every[name], sounds, sample_rate_hz, f"recordings by {name}")
        rates[name] = error_rates.total(
            [error_rates.count(*each) for each in zip(every[name].labels, found, strict=True)]
        ).rate
    return rates, every[min(rates, key=rates.__getitem__)]


def _recognised(
    chosen: Recognised, sounds: Sequence[np.ndarray], sample_rate_hz: int, title: str
) -> list[list[str]]:
    bar = tqdm(sounds, desc=f"recognising {title}", unit=" recordings", file=sys.stderr)
    return [chosen.recognise(sound, sample_rate_hz) for sound in bar]


def _phone_error_rate(
    transcripts: Sequence[tuple[list[str], list[str]]],
    sounds: Sequence[np.ndarray],
    sample_rate_hz: int,
) -> float:
    return intelligibility.error_rate(
        (phones, intelligibility.recognise_phones(sound, sample_rate_hz))
        for (_, phones), sound in zip(transcripts, sounds, strict=True)
    )
