"""Writes down the phones of recordings, with their times (section 3.4).

    python -m experiments.recognize --workdir=runs/timit RECORDING... --out=runs/timit/heard
    python -m experiments.recognize --workdir=runs/timit RECORDING \\
        --phones="h# w eh l kcl k ax m h#"

For a run of a recognizer that `experiments.train` made. Without `--out` the phones go to the
screen, one line each: start and end in seconds, and the phone. With it there is a file for each
recording, named after it: text, a TextGrid of Praat, or JSON.

With `--phones` it is told what is said, and finds out when (forced alignment).
"""

import json
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from absl import flags
from praatio import textgrid
from tqdm import tqdm

from data.audio import reading
from experiments.common import cli, phones, restore
from experiments.common.run import Experiment
from wavenet_jax import InputError
from wavenet_jax.recognition import decoding, posteriors

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("out")
flags.declare_key_flag("step")

_FORMAT = flags.DEFINE_enum("format", "text", ["text", "textgrid", "json"], "What is written.")
_DECODER = flags.DEFINE_enum(
    "decoder",
    None,
    list(phones.DECODERS),
    "How phones are found; by default viterbi, or beam for a recognizer trained with CTC.",
)
_PHONES = flags.DEFINE_string(
    "phones", None, "What is said in the one recording, in the model's phones, to be aligned."
)

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
    experiment = trained.experiment
    names = experiment.phones.names
    labels = None if phones is None else _labels(experiment, phones)
    for path in map(pathlib.Path, paths):
        rate = experiment.sample_rate_hz
        samples, _ = reading.read(path, sample_rate_hz=rate, mono=True)
        heard = {"recording": str(path), "samples": experiment.apply_pre_emphasis(samples)}
        ((_, log_probs),) = posteriors.posteriors(experiment.model, trained.params, [heard])
        if labels is None:
            segments = experiment.decode(log_probs, decoder=decoder)
        else:
            align = decoding.ctc_align if experiment.is_ctc else decoding.align
            segments = align(log_probs, labels)
        yield path, len(samples) / rate, _intervals(experiment, names, segments, len(samples))


def _labels(experiment: Experiment, phones: Sequence[str]) -> list[int]:
    if not phones:
        raise InputError("--phones is empty: name what is said, phones with spaces between.")
    found = []
    for phone in phones:
        folded = experiment.phones.folding.trained_name(phone)
        name = phone if phone in experiment.phones.names else folded
        if name not in experiment.phones.names:
            raise InputError(
                f"--phones has {phone!r}, which the recognizer does not know: it knows "
                f"{', '.join(experiment.phones.names)}."
            )
        found.append(experiment.phones.names.index(name))
    return found


def _intervals(
    experiment: Experiment,
    names: Sequence[str],
    segments: Sequence[decoding.Segment],
    num_samples: int,
) -> list[Interval]:
    """In seconds, the last frame cut where the recording ends."""
    assert experiment.model.recognizer is not None
    rate, hop = experiment.sample_rate_hz, experiment.model.recognizer.hop_samples

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
            part.write_text("".join(map(_line, intervals)))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _line(interval: Interval) -> str:
    return f"{interval.start:.3f} {interval.end:.3f} {interval.phone}\n"


def main(argv: Sequence[str]) -> None:
    cli.require(workdir=FLAGS.workdir)
    paths = argv[1:]
    if not paths:
        raise InputError("No recording is named: give one or more files.")
    if _PHONES.value is not None and len(paths) > 1:
        raise InputError(f"--phones is what one recording says, and there are {len(paths)}.")
    if FLAGS.out is None and _FORMAT.value != "text":
        raise InputError(f"--format is {_FORMAT.value}: give a folder with --out=DIR.")
    trained = restore.load(FLAGS.workdir, restore.STEP.value)
    files = _files(paths) if FLAGS.out else None
    recognized = recognize(
        trained,
        paths,
        decoder=_DECODER.value,
        phones=None if _PHONES.value is None else _PHONES.value.split(),
    )
    for path, length_s, intervals in tqdm(
        recognized, total=len(paths), unit=" recordings", file=sys.stderr, disable=len(paths) < 2
    ):
        if files is None:
            if len(paths) > 1:
                print(f"# {path}")
            print("".join(map(_line, intervals)), end="")
        else:
            write(files[path], length_s, intervals)
    if files is not None:
        print(f"{len(files)} files of step {trained.step} in {FLAGS.out}")


def _files(paths: Sequence[str]) -> dict[pathlib.Path, pathlib.Path]:
    """The file to write for each recording.

    Raises:
      InputError: two recordings have one name, or nothing can be written.
    """
    folder = cli.require_writable(FLAGS.out)
    files = {
        path: folder / (path.stem + SUFFIXES[_FORMAT.value]) for path in map(pathlib.Path, paths)
    }
    for path, file in files.items():
        others = [other for other in files if files[other] == file and other != path]
        if others:
            raise InputError(f"{path} and {others[0]} would both be written to {file}: rename one.")
    return files


if __name__ == "__main__":
    cli.run(main, takes_files=True)
