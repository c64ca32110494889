"""Shards: the files of records that a split is stored in."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from array_record.python import array_record_module

from data.audio.reading import Notices
from data.builders.parallel import Map
from data.builders.records import Piece, Record, RecordEncoder

PIECES_PER_SHARD = 1024

ShardPath = Callable[[str, int], str]
"""The path of a shard, by its split and its number from 0."""


class WriteSplits(Protocol):
    """Writes the records of items to shards of `PIECES_PER_SHARD`, in the order of the items.

    Returns the pieces of each split, and what is to be reported. Raises DataError where an item
    cannot be used: of several the first.
    """

    def __call__(
        self, encode: RecordEncoder, splits: Mapping[str, Iterable[Any]], shard_path: ShardPath
    ) -> tuple[dict[str, list[Piece]], Notices]: ...


def write_splits(
    encode: RecordEncoder,
    splits: Mapping[str, Iterable[Any]],
    shard_path: ShardPath,
    *,
    ordered_map: Map,
) -> tuple[dict[str, list[Piece]], Notices]:
    """`WriteSplits` in this process, of records that `ordered_map` encodes."""
    notices = Notices()

    def records(items: Iterable[Any]) -> Iterator[Record]:
        for encoded, noted in ordered_map(encode, items):
            notices.extend(noted)
            yield from encoded

    written: dict[str, list[Piece]] = {}
    for split, items in splits.items():
        written[split] = []
        rest = records(items)
        for shard, first in enumerate(rest):
            of_shard = itertools.chain([first], itertools.islice(rest, PIECES_PER_SHARD - 1))
            written[split] += write_records(shard_path(split, shard), of_shard)
    return written, notices


def write_records(path: str | os.PathLike[str], records: Iterable[Record]) -> list[Piece]:
    """Writes a file of records and returns their pieces."""
    pieces = []
    with _disk_errors(path):
        writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")
    for record in records:
        with _disk_errors(path):
            writer.write(record.content)
        pieces.append(record.piece)
    with _disk_errors(path):
        writer.close()
    return pieces


def index(pieces: Iterable[Piece]) -> dict[str, list[Any]]:
    """The part of a corpus's metadata that lists the pieces of a split."""
    columns = ("recording", "start", "length")
    found: dict[str, list[Any]] = {column: [] for column in columns}
    for piece in pieces:
        for column in columns:
            found[column].append(getattr(piece, column))
    return found


@contextlib.contextmanager
def _disk_errors(path: os.PathLike[str] | str) -> Iterator[None]:
    """Raises array_record's RuntimeError of a full disk as OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"{path} cannot be written: {error}") from error
