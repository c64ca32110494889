"""Checkpoints of prosody: what is saved comes back, damage and other versions are named."""

import json
import pathlib
import re

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import wavenet_jax
from wavenet_jax import InputError, storage
from wavenet_jax.config import to_dict
from wavenet_jax.prosody import checkpoints, networks
from wavenet_jax.prosody.networks import ProsodyConfig


def config_of(kind: str) -> ProsodyConfig:
    return ProsodyConfig(kind, 3, dilations=(1, 2), channels=8)


def some(length: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(length, width)).astype(np.float32)


def saved_pitch(workdir: pathlib.Path) -> pathlib.Path:
    config = config_of("pitch")
    checkpoints.save(workdir, config, networks.init_state(config), {"rate": 8000})
    return workdir / "prosody" / "pitch" / "0"


def test_what_is_saved_comes_back(tmp_path: pathlib.Path) -> None:
    config = config_of("duration")
    state = networks.init_state(config)
    assert checkpoints.restore(tmp_path, "duration") is None
    checkpoints.save(tmp_path, config, state, {"classes": ["a"]})
    batch = networks.batch_of([some(4, 3)], [some(4, 1)])
    state, _ = networks.make_step(config)(state, batch)
    checkpoints.save(tmp_path, config, state, {"classes": ["a"]})
    saved = checkpoints.restore(tmp_path, "duration")
    assert saved is not None
    assert (saved.config, saved.description) == (config, {"classes": ["a"]})
    jax.tree.map(np.testing.assert_array_equal, saved.state, state)
    assert [path.name for path in (tmp_path / "prosody" / "duration").iterdir()] == ["1"]
    assert checkpoints.restore(tmp_path, "pitch") is None


def test_what_version_1_saved_comes_back(tmp_path: pathlib.Path) -> None:
    """Without version and checksums, as wavenet_jax 0.1 wrote it."""
    config = config_of("pitch")
    state = networks.init_state(config)
    about = {"network": to_dict(config), "described": {"rate": 8000}}
    with ocp.CheckpointManager(tmp_path / "prosody" / "pitch") as manager:
        items = {
            "state": ocp.args.StandardSave(
                {name: getattr(state, name) for name in ("step", "params", "opt_state")}
            ),
            "config": ocp.args.JsonSave(about),
        }
        manager.save(0, args=ocp.args.Composite(**items))
    saved = checkpoints.restore(tmp_path, "pitch")
    assert saved is not None
    assert (saved.config, saved.description) == (config, {"rate": 8000})
    jax.tree.map(np.testing.assert_array_equal, saved.state, state)


@pytest.mark.parametrize("item", ["config", "checksums"])
def test_damage_is_named(tmp_path: pathlib.Path, item: str) -> None:
    folder = saved_pitch(tmp_path)
    (folder / item / "metadata").write_bytes(b"")
    message = (
        r"^The prosody in .*prosody.pitch cannot be read \(.*\): restore its files from a copy"
    )
    with pytest.raises(InputError, match=message):
        checkpoints.restore(tmp_path, "pitch")


def test_changed_content_is_named(tmp_path: pathlib.Path) -> None:
    path = saved_pitch(tmp_path) / "config" / "metadata"
    path.write_text(path.read_text().replace("8000", "8001"))
    with pytest.raises(InputError, match=r"cannot be read \(the checksum of config differs\)"):
        checkpoints.restore(tmp_path, "pitch")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format_version": 3, "wavenet_jax_version": "0.9"},
            "has format version 3, written by wavenet_jax 0.9, and wavenet_jax .* reads versions 1",
        ),
        (
            {"network": {"kind": "pitch", "features": 3, "heads": 4}},
            f"written by wavenet_jax {re.escape(wavenet_jax.__version__)}, does not fit .*"
            "The network has no field 'heads'",
        ),
        (
            {"network": {"kind": "pitch", "features": 5, "dilations": [1, 2], "channels": 8}},
            r"its array .*input/kernel is float32 \(3, 8\), not float32 \(5, 8\)\): upgrade",
        ),
    ],
    ids=["newer", "field", "shape"],
)
def test_another_version_is_named(tmp_path: pathlib.Path, changes: dict, message: str) -> None:
    folder = saved_pitch(tmp_path)
    path, sums = folder / "config" / "metadata", folder / "checksums" / "metadata"
    content = json.loads(path.read_text()) | changes
    checksums = json.loads(sums.read_text())
    checksums["json"]["config"] = storage._json_crc32(content)
    path.write_text(json.dumps(content))
    sums.write_text(json.dumps(checksums))
    with pytest.raises(InputError, match=message) as caught:
        checkpoints.restore(tmp_path, "pitch")
    assert not re.search("delete|move|cannot be read", str(caught.value))
