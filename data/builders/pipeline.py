"""Corpora prepared by pipelines of Apache Beam, on the runner that its options name.

The items of each split are listed in *parts*, so many consecutive ones as are worth a task. A first
pipeline writes the records of each part to a file, a second copies those files to the shards: only
when all parts are there is it known where each shard begins. Nothing passes from task to task but
files, in one folder that every worker must see, as it must see the recordings. So memory is that of
one recording, and a part that is finished is not done again when a run is started after it was
stopped: its name is a hash of the items, the files they are read from and this package's source.
"""

import contextlib
import functools
import hashlib
import itertools
import os
import pathlib
import pickle
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import threadpoolctl
import tqdm
from array_record.python import array_record_module

from data.audio.reading import Notices
from data.builders import shards
from data.builders.records import Piece, Record, RecordEncoder, RecordingReader
from data.errors import DataError, first_line

PART_ITEMS = 64
PART_BYTES = 64 * 2**20  # of files, where they are long
COPIED_AT_ONCE = 16  # records
POLL_S = 1.0
PARTIAL = ".partial"

Copy = tuple[str, list[tuple[str, int, int]]]
"""A shard, and of which parts the records from one to another are in it, in order."""


class BeamWriter:
    """`shards.WriteSplits` in pipelines of Apache Beam."""

    def __init__(self, options: Sequence[str], folder: pathlib.Path) -> None:
        """Parts are in `folder`; `options` are Beam's, `NAME=VALUE` or `NAME` each.

        Raises:
          DataError: Beam is not installed, or has no such option.
        """
        self._options = _pipeline_options(options)
        self._folder = folder

    def __call__(
        self,
        encode: RecordEncoder,
        splits: Mapping[str, Iterable[Any]],
        shard_path: shards.ShardPath,
    ) -> tuple[dict[str, list[Piece]], Notices]:
        """As `shards.WriteSplits`."""
        self._folder.mkdir(exist_ok=True)
        for leftover in self._folder.glob(f"*{PARTIAL}"):
            leftover.unlink()
        parts = {
            split: [_listed(self._folder, encode, part) for part in _parts(encode.reader, items)]
            for split, items in splits.items()
        }
        every = list(itertools.chain(*parts.values()))
        left = [part for part in every if not os.path.exists(_done(part))]
        self._run("preparing parts", prepare_part, left, [_done(part) for part in left])
        pieces: dict[str, list[Piece]] = {split: [] for split in parts}
        notices = Notices()
        copies: list[Copy] = []
        for split, of_split in parts.items():
            lengths = []
            for part in of_split:
                of_part, noted = _result(part)
                pieces[split] += of_part
                lengths.append(len(of_part))
                notices.extend(noted)
            for shard, sources in enumerate(_sources(of_split, lengths)):
                copies.append((shard_path(split, shard), sources))
        self._run("writing shards", write_shard, copies, [path for path, _ in copies])
        return pieces, notices

    def _run(
        self,
        name: str,
        task: Callable[[Any], None],
        elements: Sequence[Any],
        written: Sequence[str],
    ) -> None:
        """Runs a task of every element, each of which writes a file."""
        import apache_beam

        if not elements:
            return
        try:
            with (
                _progress(name, written),
                apache_beam.Pipeline(options=self._options) as pipeline,
            ):
                _ = (
                    pipeline
                    | apache_beam.Create(elements)
                    | apache_beam.Reshuffle()
                    | apache_beam.Map(task)
                )
        except Exception as error:  # a runner may raise anything
            raise DataError(
                f"the Beam pipeline stopped while {name} ({first_line(error)}): mend that, and "
                "prepare again with the same flags, which goes on with the parts that are done"
            ) from error


def prepare_part(part: str) -> None:
    """Writes the records of a part, or the sentence of the first item that cannot be used."""
    # A runner may repeat a task that is done.
    if os.path.exists(_done(part)):
        return
    threadpoolctl.threadpool_limits(1)  # as `parallel`
    encode, items = pickle.loads(pathlib.Path(_items(part)).read_bytes())
    notices = Notices()

    def records() -> Iterator[Record]:
        for item in items:
            encoded, noted = encode(item)
            notices.extend(noted)
            yield from encoded

    try:
        with _whole_file(_records(part)) as path:
            pieces = shards.write_records(path, records())
        result = pickle.dumps((pieces, notices))
    except DataError as error:
        result = pickle.dumps(error)
    with _whole_file(_done(part)) as path:
        path.write_bytes(result)


def write_shard(copy: Copy) -> None:
    """Writes a shard of the records of parts."""
    target, sources = copy
    beside = os.path.dirname(sources[0][0])  # a repeated task leaves nothing among the shards
    with _whole_file(target, beside) as path:
        shards.write_records(path, itertools.chain.from_iterable(_copied(*s) for s in sources))


def _copied(part: str, first: int, stop: int) -> Iterator[Record]:
    pieces, _ = _result(part)
    reader = array_record_module.ArrayRecordReader(_records(part))
    for start in range(first, stop, COPIED_AT_ONCE):
        end = min(start + COPIED_AT_ONCE, stop)
        for piece, content in zip(pieces[start:end], reader.read(start, end), strict=True):
            yield Record(piece, content)
    reader.close()


def _parts(reader: RecordingReader, items: Iterable[Any]) -> Iterator[list[tuple[Any, Any]]]:
    """Consecutive items, each with the sizes and times of its files."""
    part: list[tuple[Any, Any]] = []
    num_bytes = 0
    for item in items:
        stats = [path.stat() for path in reader.paths(item)]
        part.append((item, [(stat.st_size, stat.st_mtime_ns) for stat in stats]))
        num_bytes += sum(stat.st_size for stat in stats)
        if len(part) == PART_ITEMS or num_bytes >= PART_BYTES:
            yield part
            part, num_bytes = [], 0
    if part:
        yield part


def _listed(folder: pathlib.Path, encode: RecordEncoder, part: Sequence[tuple[Any, Any]]) -> str:
    """The path of a part, without a suffix, whose items are written unless it is done."""
    content = pickle.dumps((encode, [item for item, _ in part]))
    digest = hashlib.sha256(content)
    digest.update(repr([stats for _, stats in part]).encode())
    digest.update(_source_digest())
    path = os.fspath(folder / digest.hexdigest()[:32])
    with contextlib.suppress(FileNotFoundError):
        if isinstance(pickle.loads(pathlib.Path(_done(path)).read_bytes()), DataError):
            os.unlink(_done(path))
    if not os.path.exists(_done(path)):
        with _whole_file(_items(path)) as partial:
            partial.write_bytes(content)
    return path


@functools.cache
def _source_digest() -> bytes:
    """Of this package, so that no part is of another version of it."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def _result(part: str) -> tuple[list[Piece], Notices]:
    """The pieces of a part that is done, and what is to be reported of it.

    Raises:
      DataError: an item of it cannot be used.
    """
    result = pickle.loads(pathlib.Path(_done(part)).read_bytes())
    if isinstance(result, DataError):
        raise result
    return result


def _sources(parts: Sequence[str], lengths: Sequence[int]) -> Iterator[list[tuple[str, int, int]]]:
    """For each shard, from which record to which of each part its records are."""
    starts = [0, *itertools.accumulate(lengths)]
    for begin in range(0, starts[-1], shards.PIECES_PER_SHARD):
        end = begin + shards.PIECES_PER_SHARD
        spans = [
            (part, max(begin - start, 0), min(end - start, length))
            for part, start, length in zip(parts, starts, lengths, strict=False)
        ]
        yield [(part, first, stop) for part, first, stop in spans if first < stop]


def _items(part: str) -> str:
    return f"{part}.items"


def _records(part: str) -> str:
    return f"{part}.records"


def _done(part: str) -> str:
    return f"{part}.done"


@contextlib.contextmanager
def _whole_file(path: str, beside: str | None = None) -> Iterator[pathlib.Path]:
    """A path to write to, which becomes `path` when all is written; in `beside` until then."""
    handle, partial = tempfile.mkstemp(PARTIAL, dir=beside or os.path.dirname(path))
    os.close(handle)
    try:
        yield pathlib.Path(partial)
        os.replace(partial, path)
    finally:
        pathlib.Path(partial).unlink(missing_ok=True)


@contextlib.contextmanager
def _progress(name: str, paths: Sequence[str]) -> Iterator[None]:
    """A bar of how many of the files are there."""
    ended = threading.Event()

    def watch(bar: Any) -> None:
        while not ended.wait(POLL_S):
            bar.update(sum(map(os.path.exists, paths)) - bar.n)

    with tqdm.tqdm(total=len(paths), desc=name, unit=" files") as bar:
        thread = threading.Thread(target=watch, args=(bar,), daemon=True)
        thread.start()
        try:
            yield
            bar.update(len(paths) - bar.n)
        finally:
            ended.set()
            thread.join()


def _pipeline_options(options: Sequence[str]) -> Any:
    """Beam's options of a pipeline."""
    try:
        from apache_beam.options import pipeline_options
    except ImportError:
        raise DataError("Apache Beam is not installed: pip install '.[beam]' has it") from None
    try:
        parsed = pipeline_options.PipelineOptions([f"--{option}" for option in options])
        known = parsed.get_all_options()
    except SystemExit:  # as argparse ends a program
        raise DataError(
            f"--beam_options={','.join(options)} has a value that Apache Beam refuses: correct it"
        ) from None
    for option in options:
        name = option.partition("=")[0]
        if name not in known:
            raise DataError(
                f"Apache Beam has no option {name!r}: write --beam_options=NAME=VALUE,NAME=VALUE"
            )
    return parsed
