"""Folders on a disk or in a bucket (`gs://...`), by one kind of path."""

import os

from etils import epath

from wavenet_jax.errors import InputError


def is_bucket(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the address of a bucket, or of a folder in one."""
    return "://" in os.fspath(path)


def absolute(path: str | os.PathLike[str]) -> epath.Path:
    """The path, with the methods of `pathlib.Path` wherever it leads.

    Raises:
      InputError: it is an address of a kind that is not known.
    """
    try:
        return epath.Path(path if is_bucket(path) else os.path.abspath(path))
    except Exception as error:  # etils raises a KeyError
        raise InputError(
            f"{os.fspath(path)} is no address that can be read here ({type(error).__name__}: "
            f"{error}): give a folder, or gs://BUCKET/FOLDER."
        ) from error
