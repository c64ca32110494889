"""Checkpoints: whole or not there, the right ones kept, and clear about what is wrong."""

import dataclasses
import errno
import functools
import json
import logging
import pathlib
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavenet_jax import InputError, generate, training, utterance_keys
from wavenet_jax.checkpoints import Checkpoint, Checkpoints
from wavenet_jax.training import TrainingConfig, TrainState

ROOT = pathlib.Path(__file__).parents[2]
MODEL = grid.CONFIGS["speaker"]
TRAINING = TrainingConfig(num_steps=9)
DESCRIBED = {
    "model": dataclasses.asdict(MODEL),
    "training": dataclasses.asdict(TRAINING),
    "audio": {"sample_rate_hz": 8000, "classes": {"speaker": ["ä", "b", "c"]}},
}
POSITION = {"next_batch": 17, "stream": {"seed": 3}}


@functools.cache
def make_state(step: int) -> TrainState:
    """Of random numbers everywhere, the EMA's others than the parameters."""
    params, ema_params = grid.random_params(MODEL, step), grid.random_params(MODEL, 99)
    opt_state = training.make_optimizer(TRAINING).init(params)
    random = np.random.default_rng(step)
    return TrainState(
        step=jnp.int32(step),
        params=params,
        ema_params=ema_params,
        opt_state=jax.tree.map(
            lambda x: jnp.asarray(random.integers(0, 9, x.shape) + 0.1, x.dtype), opt_state
        ),
        key=jax.random.key_data(jax.random.key(step)),
    )


def save(saved: Checkpoints, step: int, score: float | None = None) -> None:
    saved.save(make_state(step), data_position=POSITION, config=DESCRIBED, score=score)


def made(workdir: pathlib.Path, steps: tuple[int, ...] = (1,)) -> pathlib.Path:
    with Checkpoints(workdir) as saved:
        for step in steps:
            save(saved, step)
        saved.wait()
    return workdir / "checkpoints"


def restored(workdir: pathlib.Path, step: int | None = None) -> Checkpoint:
    with Checkpoints(workdir) as saved:
        return saved.restore(step)


def test_reading_logs_nothing(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """Orbax warns that what is opened to be read is read only."""
    made(tmp_path)
    caplog.clear()
    with Checkpoints(tmp_path, read_only=True) as saved:
        assert int(saved.restore().state.step) == 1
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def assert_equal(state: TrainState, other: TrainState) -> None:
    assert jax.tree.structure(state) == jax.tree.structure(other)

    def equal(one: Any, two: Any) -> None:
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)

    jax.tree.map(equal, state, other)


def test_what_comes_back_is_what_was_saved(tmp_path: pathlib.Path) -> None:
    """Every number to the bit, the optimiser's types, the config and the position."""
    made(tmp_path, (1, 2))
    checkpoint = restored(tmp_path)
    assert_equal(checkpoint.state, make_state(2))
    assert_equal(restored(tmp_path, 1).state, make_state(1))
    assert checkpoint.data_position == POSITION
    assert checkpoint.model_config == MODEL
    assert checkpoint.config["audio"] == DESCRIBED["audio"]
    assert TrainingConfig(**checkpoint.config["training"]) == TRAINING
    assert json.loads(json.dumps(checkpoint.config)) == checkpoint.config


def test_the_state_may_change_while_it_is_saved(tmp_path: pathlib.Path) -> None:
    """The loop donates its buffers to the next step as soon as `save` returns."""
    state = jax.tree.map(jnp.copy, make_state(1))
    with Checkpoints(tmp_path) as saved:
        saved.save(state, data_position=POSITION, config=DESCRIBED)
        jax.block_until_ready(
            jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)(state)
        )
        saved.wait()
    assert_equal(restored(tmp_path).state, make_state(1))


def test_the_ema_parameters_sample_as_before(tmp_path: pathlib.Path) -> None:
    """And not as the parameters would."""
    made(tmp_path)
    checkpoint = restored(tmp_path)
    assert checkpoint.model_config == MODEL

    def codes(params: Any) -> np.ndarray:
        return next(
            generate(
                MODEL,
                params,
                keys=utterance_keys(0, [0]),
                num_samples=40,
                global_condition=np.int32([1]),
            )
        )

    of_ema = codes(checkpoint.state.ema_params)
    np.testing.assert_array_equal(of_ema, codes(make_state(1).ema_params))
    assert np.mean(of_ema != codes(make_state(1).params)) > 0.3


def test_the_newest_and_the_best_are_kept(tmp_path: pathlib.Path) -> None:
    with Checkpoints(tmp_path, keep=2) as saved:
        assert saved.latest_step is None
        assert saved.best_step is None
        for step, score in ((1, 5.0), (2, 3.0), (3, 4.0), (4, None), (5, 3.5)):
            save(saved, step, score)
        saved.wait()
        assert saved.best_step == 2
        assert saved.latest_step == 5
    folders = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert folders == {"2", "4", "5"}
    with Checkpoints(tmp_path, keep=2) as saved:  # remembered by the directory
        assert saved.best_step == 2
        save(saved, 6, 2.0)
        saved.wait()
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"5", "6"}


def test_keeping_none_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="The number of checkpoints to keep is 0"):
        Checkpoints(tmp_path, keep=0)


def test_none_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=f"There is no checkpoint in {tmp_path}/checkpoints: tr"):
        restored(tmp_path)
    made(tmp_path)
    with pytest.raises(InputError, match=f"no checkpoint of step 7 in {tmp_path}/checkpoints"):
        restored(tmp_path, 7)


@pytest.mark.parametrize("part", ["state", "config", "data"])
def test_a_damaged_checkpoint_is_named(tmp_path: pathlib.Path, part: str) -> None:
    """Its largest file cut in half: an error with its path, and the one before is readable."""
    folder = made(tmp_path, (1, 2)) / "2"
    files = [path for path in (folder / part).rglob("*") if path.is_file()]
    files = [path for path in files if path.name != "commit_success.txt"]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with pytest.raises(InputError, match=f"^The checkpoint {folder} cannot be read ") as caught:
        restored(tmp_path)
    assert "\n" not in str(caught.value)
    assert_equal(restored(tmp_path, 1).state, make_state(1))


def test_another_number_of_processes(tmp_path: pathlib.Path) -> None:
    """Two hosts' checkpoint, resumed by one."""
    stored = made(tmp_path) / "1" / "data" / "metadata"
    positions = json.loads(stored.read_text())
    assert positions == {"0": POSITION}
    stored.write_text(json.dumps(positions | {"1": POSITION}))
    with pytest.raises(InputError, match="was saved by 2 processes and is resumed by 1"):
        restored(tmp_path)


def test_a_directory_that_cannot_be(tmp_path: pathlib.Path) -> None:
    """Below a regular file (this holds for root too, whom permissions do not stop)."""
    (tmp_path / "file").write_text("")
    with pytest.raises((InputError, OSError)) as caught:
        made(tmp_path / "file" / "run")
    assert str(tmp_path / "file") in str(caught.value)


def test_a_failed_write_says_what_is_left(tmp_path: pathlib.Path) -> None:
    """A disk that is full, stood in for, because orbax waits minutes for a real one."""
    with Checkpoints(tmp_path) as saved, pytest.MonkeyPatch.context() as patch:
        save(saved, 1)
        saved.wait()

        def full(*args: Any, **kwargs: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(saved._manager, "save", full)
        with pytest.raises(InputError, match=r"No space left on device.* is that of step 1\.$"):
            save(saved, 2)
    assert_equal(restored(tmp_path).state, make_state(1))


ENDLESS_SAVING = """
import dataclasses, sys
import jax
import numpy as np
from wavenet_jax import WaveNetConfig, training
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.training import TrainingConfig

model, config = WaveNetConfig(dilations=(1,) * 4), TrainingConfig(num_steps=1000)
described = {"model": dataclasses.asdict(model), "training": dataclasses.asdict(config)}
shapes = jax.eval_shape(lambda: training.init_state(model, config))
with Checkpoints(sys.argv[1]) as saved:
    for step in range(1, 1000):
        state = jax.tree.map(lambda x: np.full(x.shape, step, x.dtype), shapes)
        saved.save(state, data_position=step, config=described)
"""


def test_a_kill_during_a_save_leaves_the_one_before(tmp_path: pathlib.Path) -> None:
    """SIGKILL while a checkpoint is half written: the newest whole one is whole, and more
    can be saved."""
    process = subprocess.Popen([sys.executable, "-c", ENDLESS_SAVING, tmp_path], cwd=ROOT)
    try:
        folder, half_written = tmp_path / "checkpoints", []
        deadline_s = time.monotonic() + 120
        while not half_written:
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            if (folder / "3").exists():
                half_written = list(folder.glob("*tmp*"))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = [path.name for path in folder.iterdir()]
    with Checkpoints(tmp_path) as saved:
        step = saved.latest_step
        assert step is not None
        assert step >= 3
        checkpoint = saved.restore()
        for leaf in jax.tree.leaves(checkpoint.state):
            assert np.all(leaf == step), (step, left)
        assert checkpoint.data_position == step
        saved.save(
            checkpoint.state.replace(step=np.int32(step + 1)),
            data_position=step + 1,
            config=checkpoint.config,
        )
        saved.wait()
    assert restored(tmp_path).data_position == step + 1


def test_a_full_disk_is_found_before_anything_is_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, (1,))
    full = SimpleNamespace(free=1000)
    monkeypatch.setattr("wavenet_jax.checkpoints.shutil.disk_usage", lambda _: full)
    with (
        Checkpoints(tmp_path) as saved,
        pytest.raises(InputError, match=r"0\.0 MiB are free.*newest whole checkpoint is .* step 1"),
    ):
        save(saved, 2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
    assert_equal(restored(tmp_path).state, make_state(1))
