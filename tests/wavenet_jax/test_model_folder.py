"""A model's folder: what is written comes back, and damage and other versions are named."""

import errno
import functools
import hashlib
import json
import pathlib
import re
import shutil
from typing import Any

import grid
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import wavenet_jax
from wavenet_jax import InputError, model_folder
from wavenet_jax.audio import AudioConfig
from wavenet_jax.config import to_dict
from wavenet_jax.model_folder import SavedModel, SavedNetwork
from wavenet_jax.prosody import networks
from wavenet_jax.prosody.networks import ProsodyConfig

AUDIO = AudioConfig(8000, (0.8, -0.6), {"speaker": ("ä", "b", "c")}, ("speaker",))


@functools.cache
def saved(name: str = "speaker", step: int = 7) -> SavedModel:
    """Of random parameters."""
    config = (grid.CONFIGS | grid.RECOGNIZERS)[name]
    params = jax.tree.map(np.asarray, grid.random_params(config, 1))
    return SavedModel(config, params, step, {"audio": to_dict(AUDIO), "about": ["ä", 0.1]})


@functools.cache
def network(kind: str) -> SavedNetwork:
    config = ProsodyConfig(kind, 3, dilations=(1, 2), channels=8)
    params = jax.tree.map(np.asarray, networks.init_state(config).params)
    return SavedNetwork(config, params, {"classes": {"phones": ["a"]}})


NETWORKS = {kind: network(kind) for kind in networks.NUM_OUTPUTS}


def assert_equal(params: Any, other: Any) -> None:
    assert jax.tree.structure(params) == jax.tree.structure(other)
    for one, two in zip(jax.tree.leaves(params), jax.tree.leaves(other), strict=True):
        assert (one.dtype, one.shape) == (two.dtype, two.shape)
        np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("models") / "speaker"
    model_folder.write(path, saved(), networks=NETWORKS)
    return path


def changed(folder: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy to be damaged."""
    return pathlib.Path(shutil.copytree(folder, tmp_path / "model"))


# -- what comes back --------------------------------------------------------------


@pytest.mark.parametrize("name", ["speaker", "all", "frames"])
def test_a_float32_model_comes_back_to_the_bit(name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "deep" / "model"
    model_folder.write(path, saved(name))
    model = model_folder.read(path)
    assert (model.config, model.step) == (saved(name).config, 7)
    assert_equal(model.params, saved(name).params)
    assert model.description["about"] == ["ä", 0.1]
    assert model.description["wavenet_jax_version"] == wavenet_jax.__version__
    assert sorted(each.name for each in path.iterdir()) == ["config.json", "model.safetensors"]
    assert [each.name for each in path.parent.iterdir()] == ["model"]


def test_a_bfloat16_model_is_rounded_and_half_as_large(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    model_folder.write(tmp_path / "half", saved(), networks=NETWORKS, precision="bfloat16")
    rounded = jax.tree.map(
        lambda x: np.asarray(jnp.asarray(x, jnp.bfloat16).astype(jnp.float32)), saved().params
    )
    found = model_folder.read(tmp_path / "half").params
    assert_equal(found, rounded)
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(saved().params), strict=True):
        np.testing.assert_allclose(one, two, rtol=2**-8, atol=0)
    sizes = [(at / "model.safetensors").stat().st_size for at in (folder, tmp_path / "half")]
    values = sum(x.size for x in jax.tree.leaves(saved().params))
    assert sizes[0] - sizes[1] == pytest.approx(2 * values, abs=100)


def test_networks_of_prosody_come_back(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for kind, expected in NETWORKS.items():
        found = model_folder.read_network(folder, kind)
        assert found is not None
        assert (found.config, found.description) == (expected.config, expected.description)
        assert_equal(found.params, expected.params)
    model_folder.write(tmp_path / "without", saved())
    assert model_folder.read_network(tmp_path / "without", "pitch") is None


def test_the_files_are_what_others_read(folder: pathlib.Path) -> None:
    """Their names, sizes and checksums are in config.json, and the arrays keep their names."""
    config = json.loads((folder / "config.json").read_text())
    files = {"model.safetensors", *(f"{kind}.safetensors" for kind in NETWORKS)}
    assert config["files"].keys() == files
    for name, written in config["files"].items():
        content = (folder / name).read_bytes()
        assert written == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert config["model"]["type"] == "wavenet"
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    assert len(arrays) == len(jax.tree.leaves(saved().params))
    for name, array in arrays.items():
        of_name = functools.reduce(lambda tree, key: tree[key], name.split("/"), saved().params)
        np.testing.assert_array_equal(array, of_name)


def test_it_is_loaded_wherever_a_run_is(folder: pathlib.Path) -> None:
    model = wavenet_jax.load(folder)
    assert (model.config, model.audio, model.step) == (saved().config, AUDIO, 7)
    assert_equal(model.params, saved().params)
    for step in ("best", 7):
        assert wavenet_jax.load(folder, step).step == 7
    with pytest.raises(InputError, match=f"^The step is 3, and the model in {folder} is of step 7"):
        wavenet_jax.load(folder, 3)


def test_writing_twice_gives_the_same_bytes(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    read = model_folder.read(folder)
    read.description["wavenet_jax_version"] = "0.1"  # it is written by this release again
    model_folder.write(tmp_path / "again", read, networks=NETWORKS)
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


# -- what is refused --------------------------------------------------------------


def read_all(folder: pathlib.Path) -> None:
    model_folder.read(folder)
    for kind in networks.NUM_OUTPUTS:
        model_folder.read_network(folder, kind)


FILES = ["config.json", "model.safetensors", "duration.safetensors", "pitch.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    copy = changed(folder, tmp_path)
    (copy / name).unlink()
    message = f"^{copy / name} is missing: copy the model's folder again, or export it again.$"
    with pytest.raises(InputError, match=message):
        read_all(copy)


@hypothesis.settings(max_examples=50)
@hypothesis.given(data=st.data(), name=st.sampled_from(FILES))
def test_no_damage_is_read(
    data: st.DataObject,
    name: str,
    folder: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A file that was cut short, or has another byte anywhere, is named; of `config.json`
    a space may have become another."""
    copy = changed(folder, tmp_path_factory.mktemp("damaged"))
    path = copy / name
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1), "position")
    if data.draw(st.booleans(), "cut"):
        del content[position:]
    else:
        content[position] ^= data.draw(st.integers(1, 255), "change")
    same = False
    if name == "config.json":
        try:
            same = json.loads(content) == json.loads(path.read_bytes())
        except ValueError:
            same = False
    path.write_bytes(content)
    if same:
        read_all(copy)
    else:
        with pytest.raises(InputError, match=re.escape(str(copy))):
            read_all(copy)
    shutil.rmtree(copy)


def rewritten(folder: pathlib.Path, tmp_path: pathlib.Path, **changes: Any) -> pathlib.Path:
    """A copy whose `config.json` is whole, and another."""
    copy = changed(folder, tmp_path)
    config = json.loads((copy / "config.json").read_text()) | changes
    del config["sha256"]
    config["sha256"] = model_folder._sha256_of(config)
    (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format_version": 9, "wavenet_jax_version": "7.0"},
            "has format version 9, written by wavenet_jax 7.0, and wavenet_jax .* reads versions "
            "1 to 2: upgrade wavenet_jax",
        ),
        ({"model": {"type": "mamba"}}, "does not fit wavenet_jax .*The model's type is 'mamba'"),
        ({"model": {"type": "wavenet", "heads": 4}}, "does not fit .*has no field 'heads'"),
        ({"files": {}}, "does not fit .*it has no field 'model.safetensors'"),
        (
            {"model": to_dict(grid.CONFIGS["plain"]) | {"type": "wavenet"}},
            "does not fit .*its array .* is float32",
        ),
    ],
    ids=["newer", "type", "field", "files", "arrays"],
)
def test_another_version_is_named(
    changes: dict[str, Any], message: str, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    copy = rewritten(folder, tmp_path, **changes)
    with pytest.raises(InputError, match=f"^The model in {copy}.*{message}"):
        model_folder.read(copy)


@pytest.mark.parametrize("text", ["[]", "{}", '{"model_type": "llama"}', "nothing", ""])
def test_the_config_of_something_else_is_named(text: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=f"^{tmp_path}/config.json (is no JSON|has no format_ver)"):
        wavenet_jax.load(tmp_path)


def test_what_is_no_folder(tmp_path: pathlib.Path) -> None:
    assert not model_folder.is_model_folder(tmp_path)
    assert not model_folder.is_model_folder(tmp_path / "none")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    assert not model_folder.is_model_folder(tmp_path / "run")
    with pytest.raises(InputError, match="There is no checkpoint in .*of a run, or of a model"):
        wavenet_jax.load(tmp_path)


# -- writing ----------------------------------------------------------------------


def test_nothing_is_overwritten(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=f"^{folder} is there already: remove it, or choose"):
        model_folder.write(folder, saved())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (tmp_path / "empty").mkdir()
    model_folder.write(tmp_path / "empty", saved())
    with pytest.raises(InputError, match="^The precision is 'int8': use one of float32, bfloat16"):
        model_folder.write(tmp_path / "other", saved(), precision="int8")
    assert not (tmp_path / "other").exists()


def test_a_full_disk_leaves_nothing(tmp_path: pathlib.Path, monkeypatch) -> None:
    plain = pathlib.Path.write_bytes

    def full(path: pathlib.Path, content: bytes) -> int:
        if path.name == "config.json":
            plain(path, content[:9])
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(path, content)

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    message = f"^The model could not be written to {tmp_path}/m .No space left on device.: free"
    with pytest.raises(InputError, match=message):
        model_folder.write(tmp_path / "m", saved())
    assert not list(tmp_path.iterdir())
