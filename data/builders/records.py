"""Recordings as the records that a corpus stores.

A recording is stored as consecutive *pieces*, so that reading a window never decodes an hour of
sound. A builder lists *items*, each of which a `RecordingReader` turns into recordings without
knowing of the others, so that any process may do it: the records of an item are the same in all.
"""

import abc
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from data.audio.reading import Notices

Example = dict[str, Any]


class Piece(NamedTuple):
    """What a corpus's index holds of a record.

    Attributes:
      recording: Name of the recording that it is a piece of.
      start: Its first sample in that.
      length: Samples in it.
      num_bytes: Size of the record.
    """

    recording: str
    start: int
    length: int
    num_bytes: int


class Record(NamedTuple):
    """A piece, and its bytes as they are stored."""

    piece: Piece
    content: bytes


class RecordingReader(abc.ABC):
    """Reads the recordings of an item. It can be pickled, and so can items."""

    @abc.abstractmethod
    def recordings(self, item: Any, notices: Notices) -> Iterator[Example]:
        """The features of each recording: those that the builder declares, with `audio` int16
        `[N]`, `recording` and `start`.

        Raises:
          DataError: one cannot be used.
        """

    def paths(self, item: Any) -> list[pathlib.Path]:
        """The files that are read; by default none."""
        del item
        return []


class RecordEncoder:
    """The records of an item, and what is to be reported of them."""

    def __init__(
        self, reader: RecordingReader, features: tfds.features.FeaturesDict, piece_samples: int
    ) -> None:
        """With `piece_samples` of 0 a recording is one piece, however long."""
        self.reader = reader
        self._features = features
        self._serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
        self._piece_samples = piece_samples

    def __call__(self, item: Any) -> tuple[list[Record], Notices]:
        """Raises DataError where `reader` does."""
        notices = Notices()
        records = [
            self._record(piece)
            for recording in self.reader.recordings(item, notices)
            for piece in self._pieces(recording)
        ]
        return records, notices

    def _pieces(self, recording: Example) -> Iterator[Example]:
        audio = recording["audio"]
        length = min(len(audio), self._piece_samples or len(audio))
        for start in range(0, len(audio), length):
            yield recording | {
                "audio": audio[start : start + length],
                "start": recording["start"] + start,
            }

    def _record(self, piece: Example) -> Record:
        example = self._serializer.get_tf_example(self._features.encode_example(piece))
        # A map's fields have another order in each process otherwise.
        content = example.SerializeToString(deterministic=True)
        name, start, length = piece["recording"], int(piece["start"]), len(piece["audio"])
        return Record(Piece(name, start, length, len(content)), content)
