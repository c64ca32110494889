"""Files that appear whole or not at all."""

import contextlib
import pathlib
import zipfile
from collections.abc import Callable, Iterator

import numpy as np


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Writes or replaces a file; a reader finds it as it was, or complete.

    Raises:
      OSError: it cannot be written; it is as it was.
    """
    with _part(path) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def npz(path: pathlib.Path) -> Iterator[Callable[[str, np.ndarray], None]]:
    """Writes arrays as they come into a file that `numpy.load` reads, of any size.

    Yields:
      A function that adds an array by its name.

    Raises:
      OSError: the file cannot be written; it is as it was.
    """
    with _part(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, array: np.ndarray) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)

        yield add


@contextlib.contextmanager
def _part(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file beside another, which it replaces once it is complete."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
