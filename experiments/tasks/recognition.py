"""Phones of recordings with their times, recognised or aligned, and files of them."""

import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from praatio import textgrid

from data.audio import reading
from experiments.common import restore
from experiments.common.run import Run
from wavenet_jax import InputError
from wavenet_jax.recognition import decoding, posteriors

SUFFIXES = {"text": ".txt", "textgrid": ".TextGrid", "json": ".json"}


class Interval(NamedTuple):
    """A phone and when it sounds, in seconds."""

    start: float
    end: float
    phone: str


def recognize(
    trained: restore.TrainedModel,
    paths: Sequence[str | os.PathLike[str]],
    *,
    decoder: str | None = None,
    phones: Sequence[str] | None = None,
) -> Iterator[tuple[pathlib.Path, float, list[Interval]]]:
    """Recognises the phones of recordings, or aligns them, one recording after the other.

    Args:
      trained: of `restore.load`, a recognizer.
      paths: recordings of any rate and number of channels, converted to the model's.
      decoder: as for `phones.decode`.
      phones: the transcript of each, to be aligned.

    Yields:
      A recording, its length in seconds, and its phones.

    Raises:
      InputError: at the call, for bad arguments.
      data.DataError: a recording cannot be read.
    """
    run = trained.run
    names = run.phones.names  # which refuses a model that is no recognizer
    labels = None if phones is None else _labels(run, phones)
    return (_recognize(trained, path, names, decoder, labels) for path in map(pathlib.Path, paths))


def _recognize(
    trained: restore.TrainedModel,
    path: pathlib.Path,
    names: Sequence[str],
    decoder: str | None,
    labels: Sequence[int] | None,
) -> tuple[pathlib.Path, float, list[Interval]]:
    run, config = trained.run, trained.run.recognizer
    assert config is not None
    rate, hop = run.audio.sample_rate_hz, config.hop_samples
    samples, _ = reading.read(path, sample_rate_hz=rate, mono=True)
    recording = {"recording": str(path), "samples": run.audio.apply_filter(samples)}
    ((_, log_probs),) = posteriors.posteriors(config, trained.params, [recording])
    if labels is None:
        segments = run.decode(log_probs, decoder=decoder)
    else:
        align = decoding.ctc_align if run.is_ctc else decoding.align
        segments = align(log_probs, labels)

    def seconds(frame: int) -> float:  # the last frame ends where the recording does
        return min(frame * hop, len(samples)) / rate

    intervals = [
        Interval(seconds(segment.start), seconds(segment.end), names[segment.label])
        for segment in segments
    ]
    return path, len(samples) / rate, intervals


def _labels(run: Run, phones: Sequence[str]) -> list[int]:
    if not phones:
        raise InputError(
            "--phones is empty: give the phones of the recording, with spaces between."
        )
    found = []
    for phone in phones:
        folded = run.phones.folding.trained_name(phone)
        name = phone if phone in run.phones.names else folded
        if name not in run.phones.names:
            raise InputError(
                f"--phones has {phone!r}: use the recognizer's phones "
                f"{', '.join(run.phones.names)}."
            )
        found.append(run.phones.names.index(name))
    return found


def write(path: pathlib.Path, length_s: float, intervals: Sequence[Interval]) -> None:
    """Writes a file in the format of its suffix, whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        if path.suffix == ".TextGrid":
            grid = textgrid.Textgrid(0.0, length_s)
            grid.addTier(textgrid.IntervalTier("phones", intervals, 0.0, length_s))
            grid.save(str(part), format="long_textgrid", includeBlankSpaces=True)
        elif path.suffix == ".json":
            part.write_text(json.dumps([each._asdict() for each in intervals], indent=1) + "\n")
        else:
            part.write_text("".join(map(line, intervals)))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def line(interval: Interval) -> str:
    """An interval as a line of text."""
    return f"{interval.start:.3f} {interval.end:.3f} {interval.phone}\n"
