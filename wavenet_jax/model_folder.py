"""A trained model as a folder of files that travels: to a repository, to another machine.

    config.json          what the model is: format version, the description that its checkpoint had,
                         step, networks of prosody, and size and SHA-256 of the other files
    model.safetensors    the EMA parameters, float32 or bfloat16, by name
    duration.safetensors, pitch.safetensors, spectrum.safetensors
                         those of the networks of prosody, where the model has them
    README.md            a card for people, which is not read

Reading executes no code. A file that is missing, cut short or altered is refused by its name:
`config.json` holds the checksums of the others, and its own.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from etils import epath
from flax import traverse_util

from wavenet_jax import folders, storage
from wavenet_jax.checkpoints import model_config_of, with_type
from wavenet_jax.config import from_dict, to_dict
from wavenet_jax.errors import InputError
from wavenet_jax.prosody.networks import ProsodyConfig, init_state
from wavenet_jax.training import ModelConfig, init_variables

CONFIG, MODEL, CARD = "config.json", "model.safetensors", "README.md"
PRECISIONS = {"float32": np.float32, "bfloat16": jnp.bfloat16}
"""How parameters may be stored. They are read as float32."""


class SavedModel(NamedTuple):
    """A model as its folder has it.

    Attributes:
      config: of the model.
      params: the EMA parameters, float32.
      step: updates that they have had.
      description: as of its checkpoint.
    """

    config: ModelConfig
    params: Any
    step: int
    description: dict[str, Any]


class SavedNetwork(NamedTuple):
    """A trained network of durations, F0 or spectra.

    Attributes:
      config: of the network.
      params: its parameters, float32.
      description: of the data it is for.
    """

    config: ProsodyConfig
    params: Any
    description: dict[str, Any]


def is_model_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder has a model's files, and not the checkpoints of a training run."""
    folder = folders.absolute(path)
    has_files = any((folder / name).is_file() for name in (CONFIG, MODEL))
    return has_files and not (folder / "checkpoints").is_dir()


def write(
    folder: str | os.PathLike[str],
    model: SavedModel,
    *,
    networks: Mapping[str, SavedNetwork] | None = None,
    precision: str = "float32",
) -> None:
    """Writes a model's folder, which appears once it is complete.

    Args:
      folder: to make.
      model: to write.
      networks: of prosody, by kind.
      precision: of the stored parameters, one of `PRECISIONS`.

    Raises:
      InputError: there is something in the folder; the precision is unknown; or nothing can be
        written there.
    """
    folder = pathlib.Path(folder).absolute()
    if precision not in PRECISIONS:
        raise InputError(f"The precision is {precision!r}: use one of {', '.join(PRECISIONS)}.")
    networks = dict(networks or {})
    contents = {MODEL: _to_bytes(model.params, precision)}
    for kind, network in networks.items():
        contents[_file_of(kind)] = _to_bytes(network.params, precision)
    config = storage.with_versions(
        model.description
        | {
            "model": with_type(to_dict(model.config)),
            "step": model.step,
            "networks": {
                kind: {"network": to_dict(network.config), "described": network.description}
                for kind, network in networks.items()
            },
            "files": {
                name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in contents.items()
            },
        }
    )
    config["sha256"] = _sha256_of(config)
    contents[CONFIG] = (json.dumps(config, indent=1) + "\n").encode()
    require_new(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as beside:
            unfinished = pathlib.Path(beside) / folder.name
            unfinished.mkdir()
            for name, content in contents.items():
                (unfinished / name).write_bytes(content)
            unfinished.rename(folder)
    except OSError as error:
        raise InputError(
            f"The model could not be written to {folder} ({error.strerror}): free some space or "
            "choose another folder."
        ) from error


def require_new(folder: str | os.PathLike[str]) -> None:
    """Refuses a folder that has something in it.

    Raises:
      InputError: it has, or is a file.
    """
    path = pathlib.Path(folder)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} is there already: remove it, or choose another folder.")


def read(folder: str | os.PathLike[str]) -> SavedModel:
    """Reads the model of a folder.

    Raises:
      InputError: a file is missing or damaged; or the model is of another version.
    """
    folder = epath.Path(folder)
    with _errors_in_sentences():
        content = _read_config(folder)
        with storage.misfits(content, f"The model in {folder}"):
            if type(content["step"]) is not int:
                raise ValueError(f"its step is {content['step']!r:.60}")
            config = model_config_of(content["model"])
            like = jax.eval_shape(lambda: init_variables(config, jax.random.key(0)))
            params = _read_params(folder, MODEL, content, like)
            return SavedModel(config, params, content["step"], content)


def read_network(folder: str | os.PathLike[str], kind: str) -> SavedNetwork | None:
    """Reads the network of a kind that a model's folder has, None if it has none.

    Raises:
      InputError: a file is missing or damaged; or the network is of another version.
    """
    folder = epath.Path(folder)
    with _errors_in_sentences():
        content = _read_config(folder)
        with storage.misfits(content, f"The {kind} model in {folder}"):
            saved = content["networks"].get(kind)
            if saved is None:
                return None
            config = from_dict(ProsodyConfig, saved["network"], "network")
            like = jax.eval_shape(lambda: init_state(config).params)
            params = _read_params(folder, _file_of(kind), content, like)
            return SavedNetwork(config, params, saved["described"])


def _file_of(kind: str) -> str:
    """The file of a network of prosody."""
    return f"{kind}.safetensors"


def _to_bytes(params: Any, precision: str) -> bytes:
    arrays = traverse_util.flatten_dict(params, sep="/")
    stored = {name: np.array(x, PRECISIONS[precision], order="C") for name, x in arrays.items()}
    return safetensors.numpy.save(stored)


def _from_bytes(content: bytes) -> dict[str, np.ndarray]:
    # From bytes alone safetensors reads no bfloat16.
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(content)
        file.flush()
        return safetensors.numpy.load_file(file.name)


def _read_config(folder: epath.Path) -> dict[str, Any]:
    """The content of `config.json`.

    Raises:
      storage.DamagedError: it is missing, or not what was written.
      InputError: it is of another version.
    """
    path = folder / CONFIG
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise storage.DamagedError(f"{path} is missing") from error
    except (ValueError, RecursionError) as error:
        raise storage.DamagedError(f"{path} is no JSON ({storage.first_line(error)})") from error
    if not isinstance(content, dict) or "format_version" not in content:
        raise storage.DamagedError(f"{path} has no format_version")
    storage.read_version(content, f"The model in {folder}")
    if content.pop("sha256", None) != _sha256_of(content):
        raise storage.DamagedError(f"{path} is altered: its SHA-256 is not that in it")
    return content


def _read_params(folder: epath.Path, name: str, content: Mapping[str, Any], like: Any) -> Any:
    """The parameters of a file, as float32.

    Args:
      folder: of the model.
      name: of the file.
      content: of `config.json`.
      like: their shapes and types.

    Raises:
      storage.DamagedError: the file is missing, or not what was written.
      ValueError: an array is not that of `like`.
    """
    path, written = folder / name, content["files"][name]
    try:
        read = path.read_bytes()
    except FileNotFoundError as error:
        raise storage.DamagedError(f"{path} is missing") from error
    if len(read) != written["bytes"]:
        raise storage.DamagedError(f"{path} has {len(read)} bytes of {written['bytes']}")
    if hashlib.sha256(read).hexdigest() != written["sha256"]:
        raise storage.DamagedError(f"{path} is altered: its SHA-256 is not that in {CONFIG}")
    try:
        stored = _from_bytes(read) if folders.is_bucket(path) else safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise storage.DamagedError(f"{path} is no safetensors file ({error})") from error
    arrays = {name: np.asarray(x, np.float32) for name, x in stored.items()}
    found = {name: (x.shape, str(x.dtype)) for name, x in arrays.items()}
    storage.check_shapes(found, traverse_util.flatten_dict(like, sep="/"))
    return traverse_util.unflatten_dict(arrays, sep="/")


@contextlib.contextmanager
def _errors_in_sentences() -> Iterator[None]:
    """Turns errors of reading into one that names the file and the remedy."""
    try:
        yield
    except storage.DamagedError as error:
        raise InputError(f"{error}: copy the model's folder again, or export it again.") from error


def _sha256_of(content: Mapping[str, Any]) -> str:
    """Of JSON, however it is spaced and ordered."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
