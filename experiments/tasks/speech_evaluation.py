"""Evaluation of synthesised speech: intelligibility, pitch and durations."""

import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from absl import logging
from tqdm import tqdm

import data
from experiments.common import cli, plots, prosody, restore
from experiments.common.run import Run
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.metrics import f0, intelligibility, prosody_errors
from experiments.tasks import generation
from wavenet_jax import InputError

KINDS = ("recorded", "copied", "spoken")
PICTURED = 3
VOICED_ABOVE = 0.45


def evaluate_speech(
    trained: restore.TrainedModel,
    spoken: prosody.Prosody,
    corpus: data.Corpus,
    *,
    out: str | os.PathLike[str],
    num_recordings: int | None = None,
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
) -> dict[str, Any]:
    """Synthesises recordings again, and compares them with the originals.

    Args:
      trained: of `restore.load`.
      spoken: the networks of durations and pitch, of `prosody.load`.
      corpus: recordings with phones, pitch and, to be recognised, `text` in English.
      out: folder for `copied_000.wav`, `spoken_000.wav`, ... and `spectrograms.png`.
      num_recordings: how many of the corpus, its first; all by default.
      seed: of the random numbers; a waveform depends on it and the recording's number.
      sampling: how they are drawn.

    Returns:
      `word_error_rate` and `phone_error_rate` of each of `KINDS`, if the recordings have
      text (over the words in the recogniser's dictionary); `copied_pitch`, the errors of the
      copies' F0 (`f0_errors`); `prosody`, the errors of the predictions (`prosody_errors`);
      `seconds_ratio`, the length of the spoken recordings over that of the originals;
      `num_recordings`, `seconds` (recorded, in all), `features`, `sampling`, `seed`,
      `step`, `split`, `wall_s`.

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
    conditions = [run.global_condition_of(corpus, i) for i in range(number)]
    local_features = run.local_features
    assert local_features is not None
    frames = {"copied": [(local_features(each), len(each["audio"])) for each in recordings]}
    frames["spoken"] = [
        spoken.frames(prosody.contexts_of(run, each), prosody.voice_of(run, condition))
        for each, condition in zip(recordings, conditions, strict=True)
    ]
    sounds = {"recorded": [each["audio"] for each in recordings]}
    for kind, each in frames.items():
        paths = [folder / f"{kind}_{i:03}.wav" for i in range(number)]
        generation.write_generated(
            trained,
            paths,
            np.array([length for _, length in each]),
            _batched([each_frames for each_frames, _ in each], conditions),
            seed=seed,
            sampling=sampling,
        )
        sounds[kind] = [soundfile.read(path, dtype="int16")[0] for path in paths]
    pairs = [
        (f"{corpus.names[i]} {kind}", sounds[kind][i])
        for i in range(min(PICTURED, number))
        for kind in KINDS
    ]
    figure = plots.spectrograms(pairs, run.audio.sample_rate_hz, columns=len(KINDS))
    plots.save(figure, folder / "spectrograms.png")
    lengths = {kind: sum(map(len, sounds[kind])) for kind in KINDS}
    return _error_rates(transcripts, sounds, run.audio.sample_rate_hz) | {
        "copied_pitch": _copied_pitch(run, recordings, sounds["copied"]),
        "prosody": prosody_errors.prosody_errors(spoken, corpus, number),
        "seconds_ratio": lengths["spoken"] / lengths["recorded"],
        "num_recordings": number,
        "seconds": round(lengths["recorded"] / run.audio.sample_rate_hz, 3),
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


def _batched(
    frames: Sequence[np.ndarray], conditions: Sequence[np.ndarray | None]
) -> dict[str, Any]:
    longest = max(map(len, frames))
    batch = {
        "local_condition": np.stack(
            [np.pad(each, ((0, longest - len(each)), (0, 0))) for each in frames]
        )
    }
    given = [condition for condition in conditions if condition is not None]
    return batch | ({"global_condition": np.stack(given)} if given else {})


def _error_rates(
    transcripts: Sequence[tuple[list[str], list[str]]],
    sounds: dict[str, list[np.ndarray]],
    sample_rate_hz: int,
) -> dict[str, dict[str, float]]:
    if not transcripts:
        return {}
    vocabulary = {word for words, _ in transcripts for word in words}
    rates: dict[str, dict[str, float]] = {"word_error_rate": {}, "phone_error_rate": {}}
    for kind in KINDS:
        bar = tqdm(sounds[kind], desc=f"recognising {kind}", unit=" recordings", file=sys.stderr)
        recognised = [
            (
                intelligibility.recognise_words(sound, sample_rate_hz, vocabulary=vocabulary),
                intelligibility.recognise_phones(sound, sample_rate_hz),
            )
            for sound in bar
        ]
        for i, rate in enumerate(rates.values()):
            rate[kind] = intelligibility.error_rate(
                (truth[i], found[i]) for truth, found in zip(transcripts, recognised, strict=True)
            )
    return rates


def _copied_pitch(
    run: Run, recordings: Sequence[dict[str, Any]], copies: Sequence[np.ndarray]
) -> dict[str, float]:
    hop_samples = run.config.local_condition.hop_samples
    tracked = []
    for each, copy in zip(recordings, copies, strict=True):
        rate = run.audio.sample_rate_hz
        tracked.append(
            [
                data.log_f0(
                    {"audio": sound, "f0_hz": data.f0(sound, rate, voiced_above=VOICED_ABOVE)},
                    hop_samples,
                    rate,
                )
                for sound in (each["audio"], copy)
            ]
        )
    true, other = (np.concatenate(parts) for parts in zip(*tracked, strict=True))
    return f0.f0_errors(true, other)
