"""Corpora as they are distributed: folders, or archives of them."""

import contextlib
import gzip
import lzma
import os
import pathlib
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator

import tqdm

from data.errors import DataError

DAMAGES = (
    EOFError,
    ValueError,
    gzip.BadGzipFile,
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
      DataError: the path does not exist, or is neither a folder nor a complete archive.
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
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for member in tqdm.tqdm(archive.infolist(), "unpacking", unit=" files"):
                    archive.extract(member, target)
        else:
            with tarfile.open(path) as archive:
                for member in tqdm.tqdm(archive, "unpacking", unit=" files"):
                    archive.extract(member, target, filter="data")
    except DAMAGES as error:
        raise DataError(
            f"{path} cannot be unpacked ({error}): it is damaged or incomplete; download it again"
        ) from None


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
