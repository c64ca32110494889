"""Can what a model says be understood, and is it said as it should be?

    python -m experiments.evaluate_speech --workdir=runs/tts --data_dir=corpora --split=test \\
        --out=runs/tts/spoken --num_recordings=20

Each recording of a split is said again twice: *copied*, with the recording's own durations
and pitch, and *spoken*, from its phones alone, with those that `train_prosody` learned. A
recogniser that knows nothing of either (PocketSphinx, which hears single words of the split's
texts, or phones) says how much of it, and of the recordings, it mistakes. Praat tracks the pitch
of copies and recordings, with a threshold of voicing that is its own and lower than the corpus's,
as the copies are rougher; they are compared frame by frame, and so are the durations and the
pitch that were predicted.
"""

import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from absl import flags, logging
from tqdm import tqdm

import data
from experiments import sample
from experiments.common import cli, plots, prosody, restore
from experiments.metrics import intelligibility
from wavenet_jax import InputError

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("seed")
flags.declare_key_flag("split")
flags.declare_key_flag("step")
flags.declare_key_flag("out")
flags.declare_key_flag("temperature")
flags.declare_key_flag("num_recordings")

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
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Says recordings again, and measures.

    Args:
      trained: of `restore.load`.
      spoken: durations and pitch, of `prosody.load`.
      corpus: recordings with phones, pitch and, to be recognised, `text` in English.
      out: folder for `copied_000.wav`, `spoken_000.wav`, ... and `spectrograms.png`.
      num_recordings: how many of the corpus's first; all by default.
      seed: with the number of a recording, all that its waveforms depend on.
      temperature: of the model's distribution.

    Returns:
      `word_error_rate` and `phone_error_rate` of each of `KINDS`, where the recordings have
      text (of its words, those in the recogniser's dictionary); `copied_pitch`, how far the
      copies' pitch is from the recordings' (`f0_errors`);
      `prosody`, how far predictions are from the same recordings (`prosody_errors`);
      `seconds_ratio`, how long what is spoken lasts beside the recordings;
      `num_recordings`, `seconds` (recorded, in all), `features`, `temperature`, `seed`,
      `step`, `split`, `wall_s`.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
    """
    experiment, begun_s = trained.experiment, time.monotonic()
    prosody.require_contexts(experiment)
    number = len(corpus) if num_recordings is None else num_recordings
    if not 1 <= number <= len(corpus):
        raise InputError(
            f"--num_recordings is {number}, and the split {corpus.split} of {corpus.name} has "
            f"{len(corpus)}: give at least 1, and no more."
        )
    recordings = [corpus.recording(i) for i in range(number)]
    folder = cli.require_writable(out)
    # What cannot be recognised is refused before anything is generated.
    said = _texts(recordings)
    conditions = [experiment.global_condition_of(corpus, i) for i in range(number)]
    local_features = experiment.local_features
    assert local_features is not None
    frames = {"copied": [(local_features(each), len(each["audio"])) for each in recordings]}
    frames["spoken"] = [
        spoken.frames(
            prosody.contexts_of(experiment, each), prosody.voice_of(experiment, condition)
        )
        for each, condition in zip(recordings, conditions, strict=True)
    ]
    sounds = {"recorded": [each["audio"] for each in recordings]}
    for kind, each in frames.items():
        paths = [folder / f"{kind}_{i:03}.wav" for i in range(number)]
        sample.write_generated(
            trained,
            paths,
            np.array([length for _, length in each]),
            _batched([rows for rows, _ in each], conditions),
            seed=seed,
            temperature=temperature,
        )
        sounds[kind] = [soundfile.read(path, dtype="int16")[0] for path in paths]
    pairs = [
        (f"{corpus.names[i]} {kind}", sounds[kind][i])
        for i in range(min(PICTURED, number))
        for kind in KINDS
    ]
    figure = plots.spectrograms(pairs, experiment.sample_rate_hz, columns=len(KINDS))
    plots.save(figure, folder / "spectrograms.png")
    lengths = {kind: sum(map(len, sounds[kind])) for kind in KINDS}
    return _error_rates(said, sounds, experiment.sample_rate_hz) | {
        "copied_pitch": _copied_pitch(experiment, recordings, sounds["copied"]),
        "prosody": prosody.prosody_errors(spoken, corpus, number),
        "seconds_ratio": lengths["spoken"] / lengths["recorded"],
        "num_recordings": number,
        "seconds": round(lengths["recorded"] / experiment.sample_rate_hz, 3),
        "features": experiment.config["local_condition"]["features"],
        "temperature": temperature,
        "seed": seed,
        "step": trained.step,
        "split": corpus.split,
        "wall_s": round(time.monotonic() - begun_s, 3),
    }


def _texts(recordings: Sequence[dict[str, Any]]) -> list[tuple[list[str], list[str]]]:
    """The words and the phones of each recording's text, but for words that the recogniser's
    dictionary lacks; nothing where recordings have no text.

    Raises:
      InputError: it has none of a recording's words.
    """
    if not all("text" in each for each in recordings):
        return []
    every = [intelligibility.words_of(each["text"]) for each in recordings]
    words = [[word for word in each if intelligibility.knows(word)] for each in every]
    if lacking := sorted({word for each in every for word in each} - {w for e in words for w in e}):
        logging.warning(
            "the recogniser's dictionary lacks %s, which are left out of what was said",
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
    said: Sequence[tuple[list[str], list[str]]],
    sounds: dict[str, list[np.ndarray]],
    sample_rate_hz: int,
) -> dict[str, dict[str, float]]:
    if not said:
        return {}
    vocabulary = {word for words, _ in said for word in words}
    rates: dict[str, dict[str, float]] = {"word_error_rate": {}, "phone_error_rate": {}}
    for kind in KINDS:
        bar = tqdm(sounds[kind], desc=f"hearing {kind}", unit=" recordings", file=sys.stderr)
        heard = [
            (
                intelligibility.recognise_words(sound, sample_rate_hz, vocabulary=vocabulary),
                intelligibility.recognise_phones(sound, sample_rate_hz),
            )
            for sound in bar
        ]
        for i, rate in enumerate(rates.values()):
            rate[kind] = intelligibility.error_rate(
                (truth[i], found[i]) for truth, found in zip(said, heard, strict=True)
            )
    return rates


def _copied_pitch(
    experiment: Any, recordings: Sequence[dict[str, Any]], copies: Sequence[np.ndarray]
) -> dict[str, float]:
    hop_samples = experiment.config["local_condition"]["hop_samples"]
    tracked = []
    for each, copy in zip(recordings, copies, strict=True):
        rate = experiment.sample_rate_hz
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
    return prosody.f0_errors(true, other)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir, split=FLAGS.split, out=FLAGS.out)
    trained = restore.load(FLAGS.workdir, restore.STEP.value)
    spoken = prosody.load(FLAGS.workdir, trained.experiment)
    figures = evaluate_speech(
        trained,
        spoken,
        trained.experiment.load(FLAGS.data_dir, FLAGS.split),
        out=FLAGS.out,
        num_recordings=cli.NUM_RECORDINGS.value,
        seed=cli.SEED.value or 0,
        temperature=FLAGS.temperature,
    )
    print("| | recorded | copied | spoken |\n|---|---|---|---|")
    for name in ("word_error_rate", "phone_error_rate"):
        if name in figures:
            cells = " | ".join(f"{figures[name][kind]:.1%}" for kind in KINDS)
            print(f"| {name.replace('_', ' ')} | {cells} |")
    print(f"the copies' pitch: {prosody.f0_sentence(figures['copied_pitch'])}")
    print(f"predicted: {prosody.sentence(figures['prosody'])}")
    print(
        f"{figures['num_recordings']} recordings, {figures['seconds']:.1f} s, of step "
        f"{trained.step} in {pathlib.Path(FLAGS.out)}"
    )
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main)
