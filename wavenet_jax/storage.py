"""What the checkpoints of WaveNets and of prosody share: format version, checksums, errors.

A checkpoint is a folder with orbax items: `state`, the arrays; `config`, JSON with the
`format_version` and the version of wavenet_jax that wrote it; and `checksums`, JSON with the CRC-32
of every array and of the other JSON items (orbax does not detect a changed byte in an array).
Version 1, of wavenet_jax 0.1, has neither version nor checksums. Reading executes no code.
"""

import contextlib
import dataclasses
import json
import logging
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

import wavenet_jax
from wavenet_jax.errors import InputError

FORMAT_VERSION = 2

MAX_EXPANSION, MIN_STATE_BYTES = 100, 2**30
"""How many times the size of its files a state may have, and what it may have in any case."""


class DamagedError(Exception):
    """Raised inside the package when a checkpoint's bytes are not those that were written."""


def with_versions(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The `config` item of these fields, of this release whatever versions they had."""
    versions = {
        "format_version": FORMAT_VERSION,
        "wavenet_jax_version": wavenet_jax.__version__,
    }
    return json.loads(json.dumps(versions | dict(fields) | versions))


def read_version(fields: Mapping[str, Any], name: str) -> int:
    """The format version of a `config` item.

    Raises:
      InputError: this release does not read it.
    """
    version = fields.get("format_version", 1)
    if version not in range(1, FORMAT_VERSION + 1):
        raise InputError(
            f"{name} has format version {version!r}, written by wavenet_jax "
            f"{_writer(fields)}, and wavenet_jax {wavenet_jax.__version__} reads versions 1 to "
            f"{FORMAT_VERSION}: upgrade wavenet_jax."
        )
    return version


def misfit(fields: Mapping[str, Any], name: str, reason: str) -> InputError:
    """The error for a whole checkpoint that this release's code does not take."""
    return InputError(
        f"{name}, written by wavenet_jax {_writer(fields)}, does not fit wavenet_jax "
        f"{wavenet_jax.__version__} ({reason.rstrip('.')}): upgrade wavenet_jax, or use the "
        "version that wrote it."
    )


@contextlib.contextmanager
def misfits(fields: Mapping[str, Any], name: str) -> Iterator[None]:
    """Turns the errors of content that is whole, and not what this release's code takes, into
    that of `misfit`."""
    try:
        yield
    except KeyError as error:
        raise misfit(fields, name, f"it has no field {error}") from error
    except ValueError as error:
        raise misfit(fields, name, str(error)) from error
    except (ArithmeticError, AttributeError, RecursionError, TypeError) as error:
        raise misfit(fields, name, first_line(error)) from error


def _writer(fields: Mapping[str, Any]) -> str:
    if "format_version" not in fields:
        return "0.1"
    return str(fields.get("wavenet_jax_version", "of an unknown version"))


def first_line(error: BaseException) -> str:
    """An error of another library, short enough for a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no message'}"


@contextlib.contextmanager
def without_read_only_warning() -> Iterator[None]:
    """Suppresses orbax's warning that a read-only manager is read-only."""

    def is_other(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Given directory is read only")

    logger = logging.getLogger("absl")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


# -- items ------------------------------------------------------------------------


def save_args(state: Any, **json_items: Any) -> ocp.args.Composite:
    """The items of a checkpoint.

    Args:
      state: a dataclass of numpy arrays.
      **json_items: fit for JSON, `config` among them.
    """
    checksums = {
        "arrays": {
            name: {"shape": list(x.shape), "dtype": str(x.dtype), "crc32": _crc32(x)}
            for name, x in _named_leaves(state).items()
        },
        "json": {name: _json_crc32(value) for name, value in json_items.items()},
    }
    return ocp.args.Composite(
        state=ocp.args.StandardSave(_fields(state)),
        checksums=ocp.args.JsonSave(checksums),
        **{name: ocp.args.JsonSave(value) for name, value in json_items.items()},
    )


def read_json(manager: ocp.CheckpointManager, step: int, *names: str) -> dict[str, Any]:
    """JSON items by name.

    Raises:
      DamagedError: one cannot be read.
    """
    items = {name: ocp.args.JsonRestore() for name in names}
    try:
        read = manager.restore(step, args=ocp.args.Composite(**items))
        for name in names:
            if not isinstance(read[name], dict):
                raise ValueError(f"{name} is no JSON object")
        return dict(read)
    except Exception as error:  # orbax raises many kinds
        raise DamagedError(first_line(error)) from error


def verify_json(checksums: Mapping[str, Any], items: Mapping[str, Any]) -> None:
    """Compares JSON items with their checksums.

    Raises:
      DamagedError: one differs.
    """
    written = checksums.get("json")
    for name, value in items.items():
        if not isinstance(written, dict) or written.get(name) != _json_crc32(value):
            raise DamagedError(f"the checksum of {name} differs")


def check_arrays(checksums: Mapping[str, Any], like: Any) -> None:
    """Compares the arrays that were saved with those that this release's code needs.

    Args:
      checksums: of the checkpoint.
      like: a dataclass of arrays or of their shapes and types.

    Raises:
      ValueError: names the first that differs.
    """
    stored = {
        name: (tuple(x["shape"]), x["dtype"]) for name, x in checksums.get("arrays", {}).items()
    }
    check_shapes(stored, _named_leaves(like))


def check_shapes(
    stored: Mapping[str, tuple[tuple[int, ...], str]], needed: Mapping[str, Any]
) -> None:
    """Compares the shapes and types of arrays with those that this release's code needs.

    Args:
      stored: shape and type of each, by name.
      needed: arrays, or their shapes and types, by name.

    Raises:
      ValueError: names the first that differs.
    """
    for name in [*needed, *stored]:
        if name not in stored:
            raise ValueError(f"it has no array {name}")
        if name not in needed:
            raise ValueError(f"it has an array {name} that is not known here")
        have, want = stored[name], (tuple(needed[name].shape), str(needed[name].dtype))
        if have != want:
            raise ValueError(f"its array {name} is {have[1]} {have[0]}, not {want[1]} {want[0]}")


def read_state(
    manager: ocp.CheckpointManager, step: int, like: Any, checksums: Mapping[str, Any] | None
) -> Any:
    """The arrays of a checkpoint, in a dataclass such as `like`.

    Args:
      manager: of the checkpoints.
      step: of the checkpoint.
      like: a dataclass of shapes and types.
      checksums: to compare them with; None for version 1, which has none.

    Raises:
      DamagedError: they cannot be read, or differ from what was written.
    """
    _check_stored(manager.directory / str(step) / "state", _named_leaves(like))
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), _fields(like))
    try:
        item = ocp.args.Composite(state=ocp.args.StandardRestore(zeros))
        state = type(like)(**manager.restore(step, args=item)["state"])
    except Exception as error:  # orbax and tensorstore raise many kinds
        raise DamagedError(first_line(error)) from error
    if checksums is not None:
        for name, x in _named_leaves(state).items():
            if checksums["arrays"][name]["crc32"] != _crc32(x):
                raise DamagedError(f"the checksum of the array {name} differs")
    return state


def _check_stored(folder: epath.Path, needed: Mapping[str, Any]) -> None:
    """Compares the shapes that the files have with those that are needed: tensorstore allocates
    what a file claims, and ends the process where that is too much.

    Raises:
      DamagedError: one differs, is missing, or comes in chunks larger than itself; or all are
        larger than `MAX_EXPANSION` times their files, and than `MIN_STATE_BYTES`.
    """
    try:
        stored = ocp.StandardCheckpointHandler().metadata(folder)
        leaves, _ = jax.tree_util.tree_flatten_with_path(stored)
        found = {_path_name(path): leaf for path, leaf in leaves}
    except Exception as error:  # orbax and tensorstore raise many kinds
        raise DamagedError(first_line(error)) from error
    for name, x in needed.items():
        array = found.get(name)
        chunks = getattr(getattr(array, "storage", None), "chunk_shape", None)
        if array is None or chunks is None or tuple(array.shape) != tuple(x.shape):
            raise DamagedError(f"the array {name} is not stored with the shape {tuple(x.shape)}")
        if any(chunk > max(1, size) for chunk, size in zip(chunks, x.shape, strict=True)):
            raise DamagedError(f"the array {name} is stored in chunks {tuple(chunks)}")
    num_bytes = sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in needed.values())
    if num_bytes > MIN_STATE_BYTES and num_bytes > MAX_EXPANSION * _size_of(folder):
        raise DamagedError(f"its files are too small for arrays of {num_bytes} bytes")


def _size_of(folder: epath.Path) -> int:
    parts = folder.iterdir()
    return sum(_size_of(path) if path.is_dir() else path.stat().length for path in parts)


def _fields(state: Any) -> dict[str, Any]:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def _named_leaves(state: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(_fields(state))
    return {_path_name(path): leaf for path, leaf in leaves}


def _path_name(path: Any) -> str:
    return "/".join(map(_key_name, path))


def _key_name(key: Any) -> str:
    """Of a dict's key, a named tuple's field or an index."""
    return str(next(getattr(key, a) for a in ("key", "name", "idx") if hasattr(key, a)))


def _crc32(x: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)


def _json_crc32(value: Any) -> int:
    normal = json.loads(json.dumps(value))  # keys as strings, tuples as lists
    return zlib.crc32(json.dumps(normal, sort_keys=True).encode())
