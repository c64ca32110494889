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
    """Hears recordings, one after the other.

    Args:
      trained: of `restore.load`, with a recognizer.
      paths: recordings of any rate and number of channels, brought to the model's.
      decoder: as for `phones.decode`.
      phones: what is said in each, to be aligned instead of recognised.

    Yields:
      A recording, how many seconds it lasts, and its phones.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
    """
    run = trained.run
    names = run.phones.names
    labels = None if phones is None else _labels(run, phones)
    for path in map(pathlib.Path, paths):
        rate = run.sample_rate_hz
        samples, _ = reading.read(path, sample_rate_hz=rate, mono=True)
        heard = {"recording": str(path), "samples": run.apply_pre_emphasis(samples)}
        ((_, log_probs),) = posteriors.posteriors(run.model, trained.params, [heard])
        if labels is None:
            segments = run.decode(log_probs, decoder=decoder)
        else:
            align = decoding.ctc_align if run.is_ctc else decoding.align
            segments = align(log_probs, labels)
        yield path, len(samples) / rate, _intervals(run, names, segments, len(samples))


def _labels(run: Run, phones: Sequence[str]) -> list[int]:
    if not phones:
        raise InputError("--phones is empty: name what is said, phones with spaces between.")
    found = []
    for phone in phones:
        folded = run.phones.folding.trained_name(phone)
        name = phone if phone in run.phones.names else folded
        if name not in run.phones.names:
            raise InputError(
                f"--phones has {phone!r}, which the recognizer does not know: it knows "
                f"{', '.join(run.phones.names)}."
            )
        found.append(run.phones.names.index(name))
    return found


def _intervals(
    run: Run,
    names: Sequence[str],
    segments: Sequence[decoding.Segment],
    num_samples: int,
) -> list[Interval]:
    """In seconds, the last frame cut where the recording ends."""
    assert run.model.recognizer is not None
    rate, hop = run.sample_rate_hz, run.model.recognizer.hop_samples

    def seconds(frame: int) -> float:
        return min(frame * hop, num_samples) / rate

    return [
        Interval(seconds(segment.start), seconds(segment.end), names[segment.label])
        for segment in segments
    ]


def write(path: pathlib.Path, length_s: float, intervals: Sequence[Interval]) -> None:
    """Writes a file, whole or not at all, in the format that its suffix says."""
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
    return f"{interval.start:.3f} {interval.end:.3f} {interval.phone}\n"
