"""Reading one split of a prepared corpus."""

import contextlib
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cachetools
import numpy as np
import soxr
import tensorflow_datasets as tfds

from data import buckets, description
from data.audio.filtering import NO_FILTER, Taps, apply_filter, apply_frame_taps
from data.audio.pitch import FRAME_S
from data.errors import DataError, first_line
from data.stages import stage

CACHE_BYTES = 256 * 2**20


def prepared(name: str, data_dir: os.PathLike[str] | str) -> tfds.core.DatasetBuilder:
    """The TFDS builder of a prepared corpus, in its newest version.

    Raises:
      DataError: `data_dir` has no prepared corpus of that name, its copy from a bucket fails, or
        its description is not one that this project writes (`data.description`).
    """
    folder = buckets.on_disk(os.path.join(os.fspath(data_dir), name))
    versions = sorted(folder.glob("[0-9]*.[0-9]*.[0-9]*"))
    if not versions:
        raise DataError(
            f"{os.path.join(os.fspath(data_dir), name)} holds no prepared corpus: run python -m "
            f"experiments.prepare --dataset={name} --data_dir={data_dir}"
        )
    description.check(versions[-1])
    try:
        return tfds.builder_from_directory(versions[-1])
    except Exception as error:  # TFDS and protobuf raise many kinds
        raise DataError(
            f"{versions[-1]} cannot be read ({first_line(error)}): prepare the corpus again, or "
            "copy it again"
        ) from error


class Corpus:
    """One split of a prepared corpus, with random access to its recordings.

    Recordings are numbered 0 to `len(corpus) - 1` in storage order. Decoded pieces and computed
    features are cached, the least recently used dropped beyond `CACHE_BYTES`; several threads
    may read at once. Pickling carries only the arguments, so that a worker process opens the
    files itself.

    Attributes:
      name, split: Of the corpus.
      sample_rate_hz: Rate of all recordings.
      filter_taps: Of the filter that `samples` applies (`data.audio.filtering`).
      names: Name of each recording.
      lengths: Samples in each recording, int64 `[len(corpus)]`.
      class_names: Names of the classes of each label, by the label's name.
      multi_label: Names of the labels of which a recording may have several classes.
      questions: Lines of the question file that goes with the recordings' HTS labels; empty
        where the corpus has none.
      licence, homepage: From the corpus's metadata.
    """

    def __init__(
        self,
        name: str,
        data_dir: os.PathLike[str] | str,
        split: str,
        filter_taps: Taps = NO_FILTER,
        speed: float = 1.0,
        number: int | None = None,
    ) -> None:
        """Opens a split. `data.load` is the function to call; `at_speed` and `some` give the
        last two arguments.

        Raises:
          DataError: an argument is out of range, nothing was prepared there, or the corpus has
            no such split.
        """
        if not 0.5 <= speed <= 2:
            raise DataError(f"the speed is {speed}: it must be from 0.5 to 2")
        self._arguments = (name, os.fspath(data_dir), split, filter_taps, speed, number)
        self.filter_taps, self._speed = filter_taps, speed
        self.name, self.split = name, split
        builder = prepared(name, data_dir)
        if split not in builder.info.splits:
            raise DataError(
                f"{pathlib.Path(data_dir) / name} has no split {split!r}: it has "
                f"{', '.join(builder.info.splits)}"
            )
        self._folder = os.fspath(builder.data_dir)
        with self._damage_named():
            self._pieces = builder.as_data_source(
                split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
            )
        self._deserialized = builder.info.features.deserialize_example_np
        metadata = builder.info.metadata
        self.sample_rate_hz = int(metadata["sample_rate_hz"])
        self.licence = metadata.get("licence", "not recorded when this was prepared")
        self.homepage = metadata.get("homepage", "")
        self.questions: tuple[str, ...] = tuple(metadata.get("questions") or ())
        self.class_names = {
            key: tuple(getattr(feature, "feature", feature).names)
            for key, feature in builder.info.features.items()
            if isinstance(getattr(feature, "feature", feature), tfds.features.ClassLabel)
        }
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
        # Far apart in storage order, so that a few recordings are of many speakers.
        chosen = np.linspace(0, len(first), number or len(first), endpoint=False).astype(int)
        self.names = tuple(names[first[i]] for i in chosen)
        self._first_piece = np.array(first)[chosen]
        starts = np.array([0, *np.cumsum(index["length"])], np.int64)
        self._piece_starts = starts
        self._recorded_lengths = np.diff(starts[[*first, len(names)]])[chosen]
        self.lengths = np.rint(self._recorded_lengths / speed).astype(np.int64)
        self._cache: cachetools.LRUCache[Any, Any] = cachetools.LRUCache(
            CACHE_BYTES, getsizeof=_num_bytes
        )
        self._changed = threading.Condition()

    def __reduce__(self) -> Any:
        return Corpus, self._arguments

    def __len__(self) -> int:
        return len(self.names)

    @property
    def cached_bytes(self) -> int:
        """Bytes of the decoded pieces and computed features that are cached, at most
        `CACHE_BYTES`."""
        with self._changed:
            return int(self._cache.currsize)

    def at_speed(self, speed: float) -> "Corpus":
        """The same recordings played faster or slower, with their labels in time and pitch.

        Args:
          speed: From 0.5 to 2; at 2 they last half as long.

        Raises:
          DataError: `speed` is out of range.
        """
        name, data_dir, split, filter_taps, _, number = self._arguments
        return Corpus(name, data_dir, split, filter_taps, speed, number)

    def some(self, number: int) -> "Corpus":
        """`number` of the recordings, spread evenly over all.

        Raises:
          DataError: `number` is below 1 or above the number of recordings.
        """
        return Corpus(*self._arguments[:-1], number)

    def filtered(self, filter_taps: Taps) -> "Corpus":
        """The same recordings, with a filter that `samples` applies."""
        name, data_dir, split, _, speed, number = self._arguments
        return Corpus(name, data_dir, split, filter_taps, speed, number)

    def label(self, recording: int, name: str) -> int | np.ndarray:
        """The class of a recording, an index into `class_names[name]`; int64 `[n]`, all its
        classes, for a label in `multi_label`.

        Raises:
          DataError: the corpus has no such label.
        """
        if name not in self.class_names:
            raise DataError(
                f"{self.name} has no label {name!r}: it has {', '.join(self.class_names) or 'none'}"
            )
        classes = self._piece(self._first_piece[recording])[name]
        return np.asarray(classes, np.int64) if name in self.multi_label else int(classes)

    def samples(self, recording: int, start: int, stop: int) -> np.ndarray:
        """Samples `start` to `stop` of a recording, filtered, int16, both within its length.

        Raises:
          DataError: the filter, scaled for other recordings, would clip this one.
        """
        begin = max(0, start - self.filter_order)
        return self.apply_filter(recording, self.recorded(recording, begin, stop), start, stop)

    def apply_filter(
        self,
        recording: int,
        sound: np.ndarray,
        start: int,
        stop: int,
        frame_taps: np.ndarray | None = None,
    ) -> np.ndarray:
        """Samples `start` to `stop` of a recording, filtered.

        Args:
          recording: Which it is.
          sound: Those samples, and before them `filter_order` others, or fewer where the recording
            begins; before it is silence.
          start, stop: Where in the recording.
          frame_taps: Of the frames from that of `start` on, where they are not those of the
            recording, which the sound then is not either.

        Raises:
          DataError: as `samples`.
        """
        if self.filter_taps == NO_FILTER:
            return sound[len(sound) - (stop - start) :]
        context = len(sound) - (stop - start)
        sound = np.pad(sound, (self.filter_order - context, 0))
        if isinstance(self.filter_taps, tuple):
            return apply_filter(sound, self.filter_taps, self.names[recording])
        first = start // self.filter_taps.hop_samples
        if frame_taps is None:
            frame_taps = self.computed(recording, self.filter_taps.of_recording)[first:]
        frames = np.arange(start, stop) // self.filter_taps.hop_samples - first
        return apply_frame_taps(sound, frame_taps[frames].T)

    @property
    def filter_order(self) -> int:
        """Samples before each that the filter reads."""
        if isinstance(self.filter_taps, tuple):
            return len(self.filter_taps) - 1
        return self.filter_taps.order

    def recorded(self, recording: int, start: int, stop: int) -> np.ndarray:
        """As `samples`, without the filter."""
        if self._speed == 1:
            return self._stored(recording, start, stop)
        return self._played(recording)[start:stop]

    def recording(self, recording: int) -> dict[str, Any]:
        """A whole recording: its features, with `audio` int16 `[N]` without the filter."""
        length = int(self.lengths[recording])
        features = self._piece(self._first_piece[recording])
        if self._speed != 1:
            features = {key: self._in_time(key, value, length) for key, value in features.items()}
        return features | {"audio": self.recorded(recording, 0, length)}

    @cachetools.cachedmethod(
        lambda self: self._cache,
        key=lambda self, recording, compute: (compute, recording),
        condition=lambda self: self._changed,
    )
    def computed(
        self, recording: int, compute: Callable[[dict[str, Any]], np.ndarray]
    ) -> np.ndarray:
        """`compute(self.recording(recording))`, cached beside the decoded pieces."""
        with stage("local_features"):
            return compute(self.recording(recording))

    @cachetools.cachedmethod(
        lambda self: self._cache,
        key=lambda self, piece: ("piece", int(piece)),
        condition=lambda self: self._changed,
    )
    def _piece(self, piece: int) -> dict[str, Any]:
        with self._damage_named():
            with stage("reading"):
                record = self._pieces[int(piece)]
            with stage("decoding"):
                example = _decoded(self._deserialized(record))
            begin, end = self._piece_starts[int(piece) : int(piece) + 2]
            found, length = len(example["audio"]), end - begin
            if found != length:
                raise ValueError(f"piece {piece} has {found} samples, not {length}")
            return example

    @contextlib.contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Turns an error of reading, which array_record finds by the hashes that it stores, into
        one that names the folder."""
        try:
            yield
        except Exception as error:  # array_record and TFDS raise many kinds
            raise DataError(
                f"the {self.split} split in {self._folder} is damaged ({first_line(error)}): "
                "prepare the corpus again, or copy it again"
            ) from error

    @cachetools.cachedmethod(
        lambda self: self._cache,
        key=lambda self, recording: ("played", recording),
        condition=lambda self: self._changed,
    )
    def _played(self, recording: int) -> np.ndarray:
        """A whole recording at the corpus's speed, int16."""
        stored = self._stored(recording, 0, int(self._recorded_lengths[recording]))
        with stage("augmentation"):
            played = soxr.resample(stored.astype(np.float32), self._speed, 1.0)
            played = np.pad(played, (0, 1))[: int(self.lengths[recording])]
            return np.rint(played.clip(-32768, 32767)).astype(np.int16)

    def _stored(self, recording: int, start: int, stop: int) -> np.ndarray:
        """Samples `start` to `stop` at the recording's own speed, joined from the pieces."""
        offset = self._piece_starts[self._first_piece[recording]]
        first = np.searchsorted(self._piece_starts, offset + start, side="right") - 1
        parts, at = [np.zeros(0, np.int16)], offset + start
        while at < offset + stop:
            begin, end = self._piece_starts[first : first + 2]
            upto = min(end, offset + stop)
            parts.append(self._piece(first)["audio"][at - begin : upto - begin])
            first, at = first + 1, upto
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def _in_time(self, key: str, value: Any, length: int) -> Any:
        """A feature of a recording of `length` samples at the corpus's speed."""
        if key.endswith(("_starts", "_ends")):
            return np.rint(np.asarray(value) / self._speed).astype(np.int64)
        if key == "f0_hz":
            places = np.arange(int(np.ceil(length / (FRAME_S * self.sample_rate_hz) - 1e-9)))
            nearest = np.minimum((places * self._speed).astype(int), len(value) - 1)
            return (np.asarray(value)[nearest] * self._speed).astype(np.float32)
        return value


def _num_bytes(value: Any) -> int:
    """Size of a cached value; one larger than the whole cache is kept alone."""
    parts = value.values() if isinstance(value, dict) else [value]
    return min(CACHE_BYTES, sum(getattr(part, "nbytes", 64) for part in parts))


def _decoded(example: dict[str, Any]) -> dict[str, Any]:
    """Text as str, label sequences as int64 arrays."""

    def decode(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, (list, np.ndarray)) and len(value) and isinstance(value[0], bytes):
            return tuple(item.decode() for item in value)
        return np.array(value, np.int64) if isinstance(value, list) else value

    return {key: decode(value) for key, value in example.items()}
