"""Corpora in a bucket (`gs://...`), copied to this machine before they are read.

Windows are read at random, which a bucket answers too slowly. The copy is kept in the user's cache
folder, `$XDG_CACHE_HOME/wavenet_jax`, and used again as long as the corpus is the same.
"""

import contextlib
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from etils import epath
from tqdm import tqdm

from data.errors import DataError, first_line


def is_bucket(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the address of a bucket, or of a folder in one."""
    return "://" in os.fspath(path)


def on_disk(folder: str | os.PathLike[str]) -> pathlib.Path:
    """A folder on a disk: the folder itself, or a copy of that in a bucket.

    Raises:
      DataError: it cannot be copied.
    """
    if not is_bucket(folder):
        return pathlib.Path(folder)
    try:
        source = epath.Path(folder)
        files = {
            path.relative_to(source).as_posix(): (path, path.stat().length)
            for path in _files_below(source)
        }
        if outside := [name for name in files if ".." in pathlib.PurePosixPath(name).parts]:
            raise ValueError(f"{outside[0]} is no file of the corpus")
        listing = "".join(f"{name} {length}\n" for name, (_, length) in sorted(files.items()))
        digest = hashlib.sha256(f"{source}\n{listing}".encode()).hexdigest()[:16]
        copy = _cache() / "corpora" / digest / source.name
        if files and not copy.is_dir():
            _copy(files, copy)
        return copy
    except Exception as error:  # libraries of storage raise many kinds
        raise DataError(
            f"{os.fspath(folder)} cannot be copied to {_cache()} ({first_line(error)}): check the "
            "address, the rights and the space, and install the extra for it ('.[gcs]' for gs://)"
        ) from error


def _files_below(folder: epath.Path) -> Iterator[epath.Path]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield path


def _cache() -> pathlib.Path:
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(home) / "wavenet_jax"


def _copy(files: dict[str, tuple[epath.Path, int]], target: pathlib.Path) -> None:
    """Copies files; the folder appears once it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    total = sum(length for _, length in files.values())
    with (
        tempfile.TemporaryDirectory(dir=target.parent) as beside,
        tqdm(total=total, desc=f"copying {target.name}", unit="B", unit_scale=True) as bar,
    ):
        unfinished = pathlib.Path(beside) / target.name
        for name, (path, _) in files.items():
            part = unfinished / name
            part.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as source, part.open("wb") as file:
                while chunk := source.read(2**22):
                    file.write(chunk)
                    bar.update(len(chunk))
        with contextlib.suppress(OSError):  # another process may be the first
            unfinished.rename(target)
