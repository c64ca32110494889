"""Corpora as they are distributed: folders, or archives of them.

An archive may hold files and folders alone, all within its own folder, and no more than
`limits.MAX_EXPANSION` times its own size (`limits.MIN_UNPACKED_BYTES` in any case).
"""

import contextlib
import gzip
import lzma
import os
import pathlib
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator

import tqdm

from data import limits
from data.errors import DataError, first_line

DAMAGES = (
    EOFError,
    IndexError,
    MemoryError,  # a damaged directory of a zip file asks for more than there is
    OverflowError,
    RuntimeError,
    ValueError,
    gzip.BadGzipFile,
    struct.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
SUFFIXES = (".tar", ".tar.bz2", ".tar.gz", ".tar.xz", ".tbz2", ".tgz", ".zip")


@contextlib.contextmanager
def opened(source: os.PathLike[str] | str, beside: pathlib.Path) -> Iterator[pathlib.Path]:
    """A corpus's folder: `source` itself, or a folder with the content of the archive `source`.

    An archive is unpacked into a folder within `beside` that is removed afterwards; its name
    begins with `incomplete.`, for removal after a process that was killed.

    Raises:
      DataError: the path does not exist, or is neither a folder nor a complete archive; the
        archive holds links or devices, or more than the limits allow.
    """
    path = pathlib.Path(source)
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise DataError(f"--source={path} does not exist: check the path")
    if not path.name.lower().endswith(SUFFIXES):
        raise DataError(
            f"--source={path} is neither a folder nor an archive ({', '.join(SUFFIXES)}): give "
            "the corpus as it was downloaded"
        )
    with tempfile.TemporaryDirectory(prefix="incomplete.unpacked-", dir=beside) as folder:
        _unpack(path, pathlib.Path(folder))
        yield pathlib.Path(folder)


def _unpack(path: pathlib.Path, target: pathlib.Path) -> None:
    room = _Room(path)
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for entry in tqdm.tqdm(archive.infolist(), "unpacking", unit=" files"):
                    room.take(entry.file_size)
                    archive.extract(entry, target)  # a link is written as a file
        else:
            with tarfile.open(path, tarinfo=_Member) as archive:
                for member in tqdm.tqdm(archive, "unpacking", unit=" files"):
                    if not (member.isfile() or member.isdir()):
                        raise DataError(
                            f"{path} holds {member.name!r}, a link or a device: unpack it "
                            "yourself, and give the folder"
                        )
                    room.take(member.size)
                    archive.extract(member, target, filter="data")
    except DataError:
        raise
    except DAMAGES as error:
        raise DataError(
            f"{path} cannot be unpacked ({first_line(error)}): it is damaged or incomplete; "
            "download it again"
        ) from None


class _Room:
    """What an archive may still hold."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._bytes = max(limits.MIN_UNPACKED_BYTES, limits.MAX_EXPANSION * path.stat().st_size)

    def take(self, size: int) -> None:
        """Counts a file before it is written.

        Raises:
          DataError: it is one too many, or too large.
        """
        self._bytes -= max(size, limits.MIN_FILE_BYTES)
        if self._bytes < 0:
            raise DataError(
                f"{self._path} holds more than {limits.MAX_EXPANSION} times its own size, which "
                "no corpus does: unpack it yourself, and give the folder"
            )


class _Member(tarfile.TarInfo):
    """A member of a tar archive, whose headers are of limited size: tarfile reads each whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        is_header = self.type not in tarfile.SUPPORTED_TYPES or self.type in _HEADERS
        if is_header and self.size > limits.MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE),
    tarfile.SOLARIS_XHDTYPE,
)


def within(root: pathlib.Path, name: str, table: pathlib.Path) -> pathlib.Path:
    """The file of a name that a table gives, which must not leave the corpus.

    Args:
      root: Folder that the table's names are in.
      name: As the table gives it.
      table: For the message.

    Raises:
      DataError: it leads elsewhere.
    """
    parts = pathlib.PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise DataError(f"{table} names {name!r}, which is no file of the corpus: correct it")
    return root / name


def root_with(source: pathlib.Path, needed: str, corpus: str) -> pathlib.Path:
    """The root folder of a corpus: `source`, or a folder in it.

    Args:
      source: A folder.
      needed: Pattern of a file or folder that the root holds.
      corpus: Its name, for the message.

    Raises:
      DataError: neither `source` nor a folder directly in it holds `needed`.
    """
    folders = [source, *sorted(path for path in source.iterdir() if path.is_dir())]
    for folder in folders:
        if any(folder.glob(needed)):
            return folder
    raise wrong_layout(source, needed, corpus)


def wrong_layout(source: pathlib.Path, needed: str, corpus: str) -> DataError:
    """The error for a folder that lacks a file or folder of the corpus."""
    held = sorted(path.name for path in source.iterdir())
    shown = ", ".join(held[:5]) + (", ..." if len(held) > 5 else "")
    return DataError(
        f"--source={source} is not laid out as {corpus} is: it should hold {needed}, and holds "
        f"{shown or 'nothing'}"
    )
