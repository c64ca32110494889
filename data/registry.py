"""Preparing corpora by name, and reading what was prepared.

    build("folder", data_dir="corpora", source="recordings", labels="folders")
    corpus = load("folder", "corpora", "train")

A prepared corpus lies in `data_dir/NAME/1.0.0/` in the layout of TFDS, in the
array_record format, and describes itself: reading it needs neither its source
nor the options that it was built with.
"""

import collections
import contextlib
import fcntl
import importlib
import json
import os
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import soxr
import tensorflow_datasets as tfds
from absl import logging

from data.audio.emphasis import check_coefficient, pre_emphasize
from data.audio.pitch import FRAME_S
from data.builders import archives, recorded
from data.errors import DataError

# What each corpus can be told, with the values that hold where it is not.
OPTIONS: dict[str, dict[str, Any]] = {
    "folder": recorded.OPTIONS | {"labels": "none"},
    "fsdd": recorded.OPTIONS,
    "ljspeech": recorded.TEXT_OPTIONS,
    "vctk": recorded.TEXT_OPTIONS | {"trim_db": 40.0, "microphone": "mic1"},
    "timit": recorded.LABELLED_OPTIONS,
    "librispeech": recorded.TEXT_OPTIONS,
    "cmu_arctic": recorded.LABELLED_OPTIONS,
    "hts": recorded.LABELLED_OPTIONS | {"f0": True, "questions": None},
    "speech_commands": recorded.OPTIONS,
    "magnatagatune": recorded.OPTIONS,
    "youtube_mix": recorded.OPTIONS,
    "beethoven": recorded.OPTIONS,
    "maestro": recorded.OPTIONS,
    "nsynth": recorded.OPTIONS,
    "espeak": {
        "sample_rate_hz": 8000,
        "voices": ("en-us",),
        "num_utterances": 300,
        "domain": "digits",
        "words_per_minute": 150,
        "seed": 0,
    },
}

CACHE_BYTES = 256 * 2**20


def build(name: str, *, data_dir: os.PathLike[str] | str, **options: Any) -> pathlib.Path:
    """Prepares a corpus; it appears under `data_dir` whole, or not at all.

    Args:
      name: One of `OPTIONS`.
      data_dir: Folder of corpora; created where missing.
      **options: As `OPTIONS[name]` lists them; the rest keep their defaults.

    Returns:
      The prepared folder.

    Raises:
      DataError: unknown name or option, unusable input, or a corpus that was
        prepared there with other options. With the same options nothing is done.
      OSError: `data_dir` cannot be written.
    """
    known = _known(name)
    for option in options.keys() - known.keys():
        raise DataError(f"{name} has no option {option!r}: it has {', '.join(known)}")
    options = known | {
        option: tuple(value) if isinstance(value, list) else value
        for option, value in options.items()
    }
    if "source" in known and not options["source"]:
        raise DataError(f"{name} is built from recordings: name their folder with --source=DIR")
    folder = pathlib.Path(data_dir).absolute() / name
    with _alone_in(folder):
        builder_class = importlib.import_module(
            f"data.datasets.{name}.{name}_dataset_builder"
        ).Builder
        target = folder / str(builder_class.VERSION)
        if target.exists():
            _check_same_options(target, options)
            return target
        with contextlib.ExitStack() as stack:
            source = None
            if "source" in known:
                source = stack.enter_context(archives.opened(options["source"], folder))
            builder = builder_class(
                data_dir=os.fspath(folder.parent), source=source, options=options
            )
            no_downloads = stack.enter_context(tempfile.TemporaryDirectory())
            builder.download_and_prepare(download_dir=no_downloads, file_format="array_record")
    return target


def splits(name: str, data_dir: os.PathLike[str] | str) -> tuple[str, ...]:
    """The splits of a prepared corpus.

    Raises:
      DataError: the name is unknown, or nothing was prepared there.
    """
    return tuple(_prepared(name, data_dir).info.splits)


def load(
    name: str, data_dir: os.PathLike[str] | str, split: str, *, pre_emphasis: float = 0.0
) -> "Corpus":
    """Opens a split of a prepared corpus.

    Args:
      name: Of the corpus.
      data_dir: Folder of corpora.
      split: Such as train.
      pre_emphasis: The coefficient of `data.emphasis`, in which `Corpus.samples` come.

    Raises:
      DataError: the name or the split is unknown, or nothing was prepared there.
    """
    return Corpus(name, data_dir, split, pre_emphasis)


class Corpus:
    """One split of a prepared corpus, with random access to its recordings.

    Recordings are numbered 0 to `len(corpus) - 1` in storage order. What was
    decoded last is kept, up to `CACHE_BYTES`. Pickling carries only the names,
    so that a worker process opens the files itself.

    Attributes:
      name, split: What was loaded.
      sample_rate_hz: Rate of all recordings.
      names: Name of each recording.
      lengths: Samples in each recording, int64 `[len(corpus)]`.
      class_names: The classes of each label, by the label's name. Among them, where its
        recordings have labels of HTS, `questions`: the lines of the question file, which are
        no label of a recording but what the columns of its features depend on.
      licence, homepage: As the corpus states them.
      several: Names of the labels of which a recording may have several classes.
    """

    def __init__(
        self,
        name: str,
        data_dir: os.PathLike[str] | str,
        split: str,
        pre_emphasis: float = 0.0,
        speed: float = 1.0,
        number: int | None = None,
    ) -> None:
        check_coefficient(pre_emphasis)
        if not 0.5 <= speed <= 2:
            raise DataError(f"the speed is {speed}: it must be from 0.5 to 2")
        self._arguments = (name, os.fspath(data_dir), split, pre_emphasis, speed, number)
        self._pre_emphasis, self._speed = pre_emphasis, speed
        self.name, self.split = name, split
        builder = _prepared(name, data_dir)
        if split not in builder.info.splits:
            raise DataError(
                f"{pathlib.Path(data_dir) / name} has no split {split!r}: it has "
                f"{', '.join(builder.info.splits)}"
            )
        self._pieces = builder.as_data_source(split)
        metadata = builder.info.metadata
        self.sample_rate_hz = int(metadata["sample_rate_hz"])
        self.licence = metadata.get("licence", "not recorded when this was prepared")
        self.homepage = metadata.get("homepage", "")
        self.class_names = {
            key: tuple(getattr(feature, "feature", feature).names)
            for key, feature in builder.info.features.items()
            if isinstance(getattr(feature, "feature", feature), tfds.features.ClassLabel)
        }
        self._labels = tuple(self.class_names)
        if questions := metadata.get("questions"):
            self.class_names["questions"] = tuple(questions)
        self.multi_label = frozenset(
            key
            for key, feature in builder.info.features.items()
            if isinstance(getattr(feature, "feature", None), tfds.features.ClassLabel)
        )
        index = metadata["index"][split]
        names = index["recording"]
        first = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
        if number is not None and not 1 <= number <= len(first):
            raise DataError(
                f"{number} recordings of {self.name} ({split}) are asked for, and it has "
                f"{len(first)}: ask for at least 1, and no more"
            )
        # Far apart, so that a few are of many speakers.
        chosen = np.linspace(0, len(first), number or len(first), endpoint=False).astype(int)
        self.names = tuple(names[first[i]] for i in chosen)
        self._first_piece = np.array(first)[chosen]
        starts = np.array([0, *np.cumsum(index["length"])], np.int64)
        self._piece_starts = starts
        self._recorded_lengths = np.diff(starts[[*first, len(names)]])[chosen]
        self.lengths = np.rint(self._recorded_lengths / speed).astype(np.int64)
        self._cache = _Cache(CACHE_BYTES)

    def __reduce__(self) -> Any:
        return Corpus, self._arguments

    def __len__(self) -> int:
        return len(self.names)

    def at_speed(self, speed: float) -> "Corpus":
        """The same recordings played faster or slower, their pitch and their labels in time
        with them.

        Args:
          speed: From 0.5 to 2; at 2 they last half as long.

        Raises:
          DataError: it is another.
        """
        name, data_dir, split, pre_emphasis, _, number = self._arguments
        return Corpus(name, data_dir, split, pre_emphasis, speed, number)

    def some(self, number: int) -> "Corpus":
        """So many of the recordings, spread over all.

        Raises:
          DataError: there are not as many, or it is none.
        """
        return Corpus(*self._arguments[:-1], number)

    def label(self, recording: int, name: str) -> int | np.ndarray:
        """The class of a recording, as an index into `class_names[name]`, or where it may
        have several (`multi_label`) all of them, int64 `[n]`.

        Raises:
          DataError: the corpus has no such label.
        """
        if name not in self._labels:
            raise DataError(
                f"{self.name} has no label {name!r}: it has {', '.join(self._labels) or 'none'}"
            )
        classes = self._piece(self._first_piece[recording])[name]
        return np.asarray(classes, np.int64) if name in self.multi_label else int(classes)

    def samples(self, recording: int, start: int, stop: int) -> np.ndarray:
        """Samples `start` to `stop` of one recording, int16, both within its length, with
        the corpus's pre-emphasis if it was opened with any."""
        if not self._pre_emphasis:
            return self._recorded(recording, start, stop)
        if start:
            with_past = self._recorded(recording, start - 1, stop)
        else:
            with_past = np.pad(self._recorded(recording, start, stop), (1, 0))
        return pre_emphasize(with_past, self._pre_emphasis)

    def _recorded(self, recording: int, start: int, stop: int) -> np.ndarray:
        if self._speed == 1:
            return self._as_recorded(recording, start, stop)
        return self._cache.get(("played", recording), lambda: self._played(recording))[start:stop]

    def _played(self, recording: int) -> np.ndarray:
        """A whole recording at the corpus's speed, int16."""
        recorded = self._as_recorded(recording, 0, int(self._recorded_lengths[recording]))
        played = soxr.resample(recorded.astype(np.float32), self._speed, 1.0)
        played = np.pad(played, (0, 1))[: int(self.lengths[recording])]
        return np.rint(played.clip(-32768, 32767)).astype(np.int16)

    def _as_recorded(self, recording: int, start: int, stop: int) -> np.ndarray:
        offset = self._piece_starts[self._first_piece[recording]]
        first = np.searchsorted(self._piece_starts, offset + start, side="right") - 1
        parts, at = [np.zeros(0, np.int16)], offset + start
        while at < offset + stop:
            begin, end = self._piece_starts[first : first + 2]
            upto = min(end, offset + stop)
            parts.append(self._piece(first)["audio"][at - begin : upto - begin])
            first, at = first + 1, upto
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def recording(self, recording: int) -> dict[str, Any]:
        """A whole recording: its features, with `audio` int16 `[N]` joined from the pieces."""
        length = int(self.lengths[recording])
        features = self._piece(self._first_piece[recording])
        if self._speed != 1:
            features = {key: self._in_time(key, value, length) for key, value in features.items()}
        return features | {"audio": self._recorded(recording, 0, length)}

    def _in_time(self, key: str, value: Any, length: int) -> Any:
        """A feature of a recording at the corpus's speed, at which it has so many samples."""
        if key.endswith(("_starts", "_ends")):
            return np.rint(np.asarray(value) / self._speed).astype(np.int64)
        if key == "f0_hz":
            places = np.arange(int(np.ceil(length / (FRAME_S * self.sample_rate_hz) - 1e-9)))
            nearest = np.minimum((places * self._speed).astype(int), len(value) - 1)
            return (np.asarray(value)[nearest] * self._speed).astype(np.float32)
        return value

    def computed(
        self, recording: int, compute: Callable[[dict[str, Any]], np.ndarray]
    ) -> np.ndarray:
        """`compute(self.recording(recording))`, kept with what was decoded."""
        return self._cache.get((compute, recording), lambda: compute(self.recording(recording)))

    def _piece(self, piece: int) -> dict[str, Any]:
        return self._cache.get(("piece", int(piece)), lambda: _decoded(self._pieces[int(piece)]))


class _Cache:
    """Values by key, the least recently used dropped beyond a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._held = limit_bytes, 0
        self._values: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            value = self._values[key] = make()
            self._held += _bytes(value)
            while self._held > self._limit and len(self._values) > 1:
                self._held -= _bytes(self._values.popitem(last=False)[1])
            return value


def _bytes(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else [value]
    return sum(getattr(part, "nbytes", 64) for part in parts)


def _decoded(example: dict[str, Any]) -> dict[str, Any]:
    """Text as str, label sequences as int64 arrays."""

    def decode(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, (list, np.ndarray)) and len(value) and isinstance(value[0], bytes):
            return tuple(item.decode() for item in value)
        return np.array(value, np.int64) if isinstance(value, list) else value

    return {key: decode(value) for key, value in example.items()}


def _known(name: str) -> dict[str, Any]:
    if name not in OPTIONS:
        raise DataError(f"no dataset is called {name!r}: there are {', '.join(OPTIONS)}")
    return OPTIONS[name]


def _prepared(name: str, data_dir: os.PathLike[str] | str) -> tfds.core.DatasetBuilder:
    _known(name)
    folder = pathlib.Path(data_dir) / name
    versions = sorted(folder.glob("[0-9]*.[0-9]*.[0-9]*"))
    if not versions:
        raise DataError(
            f"{folder} holds no prepared corpus: run python -m experiments.prepare "
            f"--dataset={name} --data_dir={data_dir}"
        )
    return tfds.builder_from_directory(versions[-1])


def _check_same_options(target: pathlib.Path, options: dict[str, Any]) -> None:
    stored = json.loads((target / "metadata.json").read_text())["options"]
    for option, value in options.items():
        if stored.get(option) != str(value):
            raise DataError(
                f"{target} was prepared with {option}={stored.get(option)}, not {value}: remove "
                "it or choose another --data_dir"
            )
    logging.warning("%s is prepared with these options: nothing to do", target)


@contextlib.contextmanager
def _alone_in(folder: pathlib.Path) -> Iterator[None]:
    """Creates a folder, locks it, and leaves in it only what is whole."""
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
    """Removes what a killed process left: TFDS writes here, then renames."""
    for leftover in folder.glob("incomplete.*"):
        shutil.rmtree(leftover)
