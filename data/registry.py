"""Corpora by name: their options, and building and loading them.

    build("folder", data_dir="corpora", source="recordings", labels="folders")
    corpus = load("folder", "corpora", "train")

A prepared corpus is in `data_dir/NAME/1.0.0/` in the layout of TFDS, in the
array_record format, with all metadata: reading it needs neither its source
nor its options.
"""

import contextlib
import fcntl
import importlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from absl import logging

from data import buckets
from data.audio.filtering import NO_FILTER, Taps
from data.builders import archives, parallel, pipeline, recorded
from data.corpus import Corpus, prepared
from data.errors import DataError
from data.text_files import json_object

PARTS = "parts"
"""Folder of what Beam has finished of a corpus that is not complete."""

# The options of each corpus with their defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "folder": recorded.TEXT_OPTIONS | recorded.PIECES_OPTIONS | {"labels": "none", "licence": None},
    "fsdd": recorded.TEXT_OPTIONS,
    "ljspeech": recorded.TEXT_OPTIONS,
    "vctk": recorded.TEXT_OPTIONS | {"trim_db": 40.0, "microphone": "mic1"},
    "timit": recorded.LABELLED_OPTIONS,
    "librispeech": recorded.TEXT_OPTIONS,
    "cmu_arctic": recorded.LABELLED_OPTIONS,
    "hts": recorded.LABELLED_OPTIONS | {"f0": True, "questions": None},
    "speech_commands": recorded.OPTIONS,
    "magnatagatune": recorded.OPTIONS,
    "youtube_mix": recorded.OPTIONS | recorded.PIECES_OPTIONS,
    "beethoven": recorded.OPTIONS | recorded.PIECES_OPTIONS,
    "maestro": recorded.OPTIONS | recorded.PIECES_OPTIONS,
    "nsynth": recorded.OPTIONS,
    "notes": {"sample_rate_hz": 8000, "instruments": None, "moved_semitones": 0},
    "espeak": {
        "sample_rate_hz": 8000,
        "voices": ("en-us",),
        "num_utterances": 300,
        "num_test": None,
        "domain": "digits",
        "words_per_minute": 150,
        "seed": 0,
    },
}


def build(
    name: str,
    *,
    data_dir: os.PathLike[str] | str,
    num_workers: int = 1,
    beam_options: Sequence[str] | None = None,
    **options: Any,
) -> pathlib.Path:
    """Prepares a corpus, complete or not at all.

    Args:
      name: One of `OPTIONS`.
      data_dir: Folder of corpora; created where missing.
      num_workers: Processes that read recordings. The corpus is the same with any number.
      beam_options: Has Apache Beam read them, with these options (`data.builders.pipeline`): the
        corpus is the same. What is read to list them is read by `num_workers` processes.
      **options: As `OPTIONS[name]` lists them; the rest keep their defaults.

    Returns:
      The prepared folder.

    Raises:
      DataError: unknown name or option, unusable input, or a corpus that was
        prepared there with other options. With the same options nothing is done.
      OSError: `data_dir` cannot be written.
    """
    _check_name(name)
    defaults = OPTIONS[name]
    for option in options.keys() - defaults.keys():
        raise DataError(f"{name} has no option {option!r}: it has {', '.join(defaults)}")
    options = defaults | {
        option: tuple(value) if isinstance(value, list) else value
        for option, value in options.items()
    }
    if "source" in defaults and not options["source"]:
        raise DataError(f"{name} is built from recordings: name their folder with --source=DIR")
    if buckets.is_bucket(data_dir):
        raise DataError(
            f"data_dir is {os.fspath(data_dir)}, in a bucket, and a corpus is prepared on a disk: "
            "give a folder, and copy it to the bucket"
        )
    folder = pathlib.Path(data_dir).absolute() / name
    with _alone_in(folder):
        builder_class = importlib.import_module(
            f"data.datasets.{name}.{name}_dataset_builder"
        ).Builder
        target = folder / str(builder_class.VERSION)
        if target.exists():
            _check_same_options(target, options, defaults)
            return target
        with contextlib.ExitStack() as stack:
            writer, source = None, None
            if beam_options is not None:
                writer = pipeline.BeamWriter(beam_options, folder / PARTS)
            if "source" in defaults:
                source = stack.enter_context(archives.opened(options["source"], folder))
            builder = builder_class(
                data_dir=os.fspath(folder.parent),
                source=source,
                options=options,
                ordered_map=stack.enter_context(parallel.ordered_map(num_workers)),
                write_splits=writer,
            )
            no_downloads = stack.enter_context(tempfile.TemporaryDirectory())
            builder.download_and_prepare(download_dir=no_downloads, file_format="array_record")
    return target


def splits(name: str, data_dir: os.PathLike[str] | str) -> tuple[str, ...]:
    """The splits of a prepared corpus.

    Raises:
      DataError: the name is unknown, or nothing was prepared there.
    """
    _check_name(name)
    return tuple(prepared(name, data_dir).info.splits)


def load(
    name: str,
    data_dir: os.PathLike[str] | str,
    split: str,
    *,
    filter_taps: Taps = NO_FILTER,
) -> Corpus:
    """Opens a split of a prepared corpus.

    Args:
      name: Of the corpus.
      data_dir: Folder of corpora.
      split: Its name, such as train.
      filter_taps: Of the filter of `data.audio.filtering` that `Corpus.samples` applies.

    Raises:
      DataError: the name or the split is unknown, or nothing was prepared there.
    """
    _check_name(name)
    return Corpus(name, data_dir, split, filter_taps)


def _check_name(name: str) -> None:
    if name not in OPTIONS:
        raise DataError(f"no dataset is called {name!r}: use one of {', '.join(OPTIONS)}")


def _check_same_options(
    target: pathlib.Path, options: dict[str, Any], defaults: dict[str, Any]
) -> None:
    path = target / "metadata.json"
    stored = json_object(path).get("options")
    if not isinstance(stored, dict):
        raise DataError(f"{path} has no options: remove {target}, and prepare the corpus again")
    for option, value in options.items():
        # The default of an option that is newer than the corpus.
        before = stored.get(option, str(defaults[option]))
        if before != str(value):
            raise DataError(
                f"{target} was prepared with {option}={before}, not {value}: remove "
                "it or choose another --data_dir"
            )
    logging.warning("%s is prepared with these options: nothing to do", target)


@contextlib.contextmanager
def _alone_in(folder: pathlib.Path) -> Iterator[None]:
    """Creates and locks a folder, and leaves only complete corpora in it."""
    existed = [path for path in (folder, folder.parent) if path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{folder} is being prepared by another process: wait for it") from None
        _remove_incomplete(folder)
        yield
    finally:
        _remove_incomplete(folder)
        for path in (folder, folder.parent):
            if path not in existed:
                with contextlib.suppress(OSError):
                    path.rmdir()
        os.close(handle)


def _remove_incomplete(folder: pathlib.Path) -> None:
    """Removes the folders of a process that was killed, which TFDS renames when complete, and the
    parts of a corpus that is."""
    leftovers = list(folder.glob("incomplete.*"))
    if any(folder.glob("[0-9]*")):
        leftovers += folder.glob(PARTS)
    for leftover in leftovers:
        shutil.rmtree(leftover)
