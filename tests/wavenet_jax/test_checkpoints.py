"""Checkpoints: whole or not there, the right ones kept, and clear about what is wrong."""

import dataclasses
import errno
import functools
import json
import logging
import pathlib
import re
import shutil
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

import wavenet_jax
from wavenet_jax import InputError, generate, storage, training, utterance_keys
from wavenet_jax.checkpoints import Checkpoint, Checkpoints
from wavenet_jax.config import to_dict
from wavenet_jax.training import TrainingConfig, TrainState

ROOT = pathlib.Path(__file__).parents[2]
MODEL = grid.CONFIGS["speaker"]
TRAINING = TrainingConfig(num_steps=9)
DESCRIBED = {
    "model": to_dict(MODEL),
    "training": to_dict(TRAINING),
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


def save(saved: Checkpoints, step: int, **scores: float) -> None:
    saved.save(
        make_state(step), data_position=POSITION, description=DESCRIBED, scores=scores or None
    )


def made(workdir: pathlib.Path, steps: tuple[int, ...] = (1,)) -> pathlib.Path:
    with Checkpoints(workdir) as saved:
        for step in steps:
            save(saved, step)
        saved.wait()
    return workdir / "checkpoints"


def restored(workdir: pathlib.Path, step: int | str | None = "last") -> Checkpoint:
    with Checkpoints(workdir, read_only=True) as saved:
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
    assert checkpoint.training_config == TRAINING
    described = checkpoint.description
    assert described["audio"] == DESCRIBED["audio"]
    assert described["model"] == {"type": "wavenet"} | DESCRIBED["model"]
    assert (described["format_version"], checkpoint.format_version) == (2, 2)
    assert described["wavenet_jax_version"] == wavenet_jax.__version__
    assert json.loads(json.dumps(described)) == described


def test_a_recognizer_comes_back(tmp_path: pathlib.Path) -> None:
    model = grid.RECOGNIZERS["frames"]
    state = training.init_state(model, TRAINING)
    with Checkpoints(tmp_path) as saved:
        described = {"model": to_dict(model), "training": to_dict(TRAINING)}
        saved.save(state, data_position=None, description=described)
    checkpoint = restored(tmp_path)
    assert checkpoint.model_config == model
    assert checkpoint.description["model"]["type"] == "recognizer"
    assert_equal(checkpoint.state, state)


@pytest.mark.parametrize(
    "changes", [{}, {"weight_normalization": True}, {"optimizer": "muon"}], ids=str
)
def test_the_stored_training_config_decides_what_the_state_is(
    changes: dict, tmp_path: pathlib.Path
) -> None:
    config = dataclasses.replace(TRAINING, **changes)
    state = training.init_state(MODEL, config)
    with Checkpoints(tmp_path) as saved:
        described = DESCRIBED | {"training": to_dict(config)}
        saved.save(state, data_position=POSITION, description=described)
    assert_equal(restored(tmp_path).state, state)


def test_the_state_may_change_while_it_is_saved(tmp_path: pathlib.Path) -> None:
    """The loop donates its buffers to the next step as soon as `save` returns."""
    state = jax.tree.map(jnp.copy, make_state(1))
    with Checkpoints(tmp_path) as saved:
        saved.save(state, data_position=POSITION, description=DESCRIBED)
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


def folders(workdir: pathlib.Path) -> set[str]:
    return {path.name for path in (workdir / "checkpoints").iterdir()}


def test_the_newest_and_the_best_are_kept(tmp_path: pathlib.Path) -> None:
    """The best by the score that is named, whatever the order of the scores."""
    with Checkpoints(tmp_path, keep=2, best_score="bits") as saved:
        assert saved.latest_step is None
        assert saved.best_step is None
        for step, bits in ((1, 5.0), (2, 3.0), (3, 4.0), (4, None), (5, 3.5)):
            scores = {} if bits is None else {"error_rate": 1 / bits, "bits": bits, "z": -bits}
            save(saved, step, **scores)
        saved.wait()
        assert saved.best_step == 2
        assert saved.latest_step == 5
    assert folders(tmp_path) == {"2", "4", "5"}
    assert int(restored(tmp_path, "best").state.step) == 2  # by the name it was saved with
    assert int(restored(tmp_path, None).state.step) == 2
    assert int(restored(tmp_path, "last").state.step) == 5
    assert int(restored(tmp_path, 4).state.step) == 4
    with Checkpoints(tmp_path, keep=2, best_score="bits") as saved:
        assert saved.best_step == 2
        save(saved, 6, bits=2.0)
        saved.wait()
    assert folders(tmp_path) == {"5", "6"}
    with Checkpoints(tmp_path, best_score="error_rate", read_only=True) as saved:
        assert saved.best_step == 5  # which alone has that score


def test_a_score_that_is_no_number_is_never_the_best(tmp_path: pathlib.Path) -> None:
    with Checkpoints(tmp_path, keep=1, best_score="bits") as saved:
        save(saved, 1, bits=5.0)
        save(saved, 2, bits=float("nan"))
        save(saved, 3, bits=6.0)
        saved.wait()
        assert saved.best_step == 1
    assert folders(tmp_path) == {"1", "3"}


def test_a_missing_score_is_named(tmp_path: pathlib.Path) -> None:
    with Checkpoints(tmp_path, best_score="bits") as saved:
        message = "^There is no score 'bits' to keep the best checkpoint by: use one of a, b.$"
        with pytest.raises(InputError, match=message):
            save(saved, 1, a=1.0, b=2.0)
        save(saved, 2)
        saved.wait()
    with pytest.raises(InputError, match="has the score that the best one is chosen by.*steps 2"):
        restored(tmp_path, "best")
    assert int(restored(tmp_path, None).state.step) == 2  # the last, without a score


def test_keeping_none_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="The number of checkpoints to keep is 0"):
        Checkpoints(tmp_path, keep=0)


def test_none_there(tmp_path: pathlib.Path) -> None:
    for step in ("last", "best", None, 3):
        message = f"There is no checkpoint in {tmp_path}/checkpoints: tr"
        with pytest.raises(InputError, match=message):
            restored(tmp_path, step)
    assert not list(tmp_path.iterdir())
    made(tmp_path)
    message = f"^There is no checkpoint of step 7 in {tmp_path}/checkpoints: use one of 1.$"
    with pytest.raises(InputError, match=message):
        restored(tmp_path, 7)
    with pytest.raises(InputError, match="^The step is 'newest': use 'last', 'best' or a number"):
        restored(tmp_path, "newest")


# -- damage -----------------------------------------------------------------------


def damaged_message(folder: pathlib.Path) -> str:
    """What is said of step 5, after 2."""
    return (
        rf"^The checkpoint {folder} cannot be read \(.*\): use that of step 2, 3 steps before it "
        rf"\(--step=2\); to train on from there, move {folder} out of {folder.parent}\.$"
    )


@pytest.mark.parametrize("part", ["state", "config", "data", "checksums"])
def test_a_damaged_checkpoint_is_named(tmp_path: pathlib.Path, part: str) -> None:
    """Its largest file cut in half: the error has its path and the step before, which is
    readable."""
    folder = made(tmp_path, (2, 5)) / "5"
    files = [path for path in (folder / part).rglob("*") if path.is_file()]
    files = [path for path in files if path.name != "commit_success.txt"]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with pytest.raises(InputError, match=damaged_message(folder)):
        restored(tmp_path)
    assert_equal(restored(tmp_path, 2).state, make_state(2))


@pytest.mark.parametrize("item", ["state", "config", "data"])
def test_a_missing_part_is_damage(tmp_path: pathlib.Path, item: str) -> None:
    folder = made(tmp_path, (2, 5)) / "5"
    shutil.rmtree(folder / item)
    with pytest.raises(InputError, match=damaged_message(folder)):
        restored(tmp_path)


def test_the_only_checkpoint_damaged(tmp_path: pathlib.Path) -> None:
    folder = made(tmp_path) / "1"
    (folder / "config" / "metadata").write_text("{")
    message = rf"^The checkpoint {folder} cannot be read \(.*\), and there is no earlier one: "
    with pytest.raises(InputError, match=message) as caught:
        restored(tmp_path)
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize("step", ["best", None])
def test_damage_where_the_best_is_asked_for(tmp_path: pathlib.Path, step: str | None) -> None:
    """The newest names the score; a damaged best one has others before or after it."""
    with Checkpoints(tmp_path, best_score="bits") as saved:
        save(saved, 2, bits=3.0)
        save(saved, 5, bits=4.0)
        saved.wait()
    best, newest = tmp_path / "checkpoints" / "2", tmp_path / "checkpoints" / "5"
    whole = (best / "config" / "metadata").read_bytes()
    (best / "config" / "metadata").write_text("{")
    message = rf"{best} cannot be read .* no earlier one: use that of step 5 \(--step=5\), restore"
    with pytest.raises(InputError, match=message):
        restored(tmp_path, step)
    (best / "config" / "metadata").write_bytes(whole)
    (newest / "config" / "metadata").write_text("{")
    with pytest.raises(InputError, match=damaged_message(newest)):
        restored(tmp_path, step)


# Where orbax finds the damage itself, it leaves the coroutines of its other reads behind.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flipped_bit_in_an_array_is_found(tmp_path: pathlib.Path) -> None:
    """Here and there in the data, where orbax itself reads other numbers without a word. Where
    nothing is read from, which differs from run to run, the numbers are the same."""
    folder = made(tmp_path, (2, 5)) / "5"
    messages = []
    for path in (folder / "state" / "ocdbt.process_0" / "d").iterdir():
        content = path.read_bytes()
        if len(content) < 3000:  # an index, of which orbax itself verifies a checksum
            continue
        for place in range(len(content) // 16, len(content), len(content) // 8):
            changed = bytearray(content)
            changed[place] ^= 4
            path.write_bytes(bytes(changed))
            try:
                assert_equal(restored(tmp_path).state, make_state(5))
            except InputError as error:
                messages.append(str(error))
        path.write_bytes(content)
    assert any("the checksum of the array" in message for message in messages)
    assert all(re.match(damaged_message(folder), message) for message in messages)
    assert_equal(restored(tmp_path).state, make_state(5))


@pytest.mark.parametrize(
    ("item", "old", "new"),
    [("config", '"learning_rate":0.001', '"learning_rate":0.003'), ("data", "17", "18")],
)
def test_a_changed_digit_in_json_is_found(
    tmp_path: pathlib.Path, item: str, old: str, new: str
) -> None:
    folder = made(tmp_path, (2, 5)) / "5"
    path = folder / item / "metadata"
    text = path.read_text().replace(" ", "")
    assert text.count(old) == 1
    path.write_text(text)
    restored(tmp_path)  # the spaces do not matter
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=damaged_message(folder)) as caught:
        restored(tmp_path)
    assert f"the checksum of {item} differs" in str(caught.value)


# -- other versions ---------------------------------------------------------------


def with_config(folder: pathlib.Path, **changes: Any) -> None:
    """Changes a checkpoint's config and its checksum; None removes a field."""
    path, sums = folder / "config" / "metadata", folder / "checksums" / "metadata"
    config, checksums = json.loads(path.read_text()), json.loads(sums.read_text())
    for name, value in changes.items():
        part = config
        *parents, last = name.split("__")
        for parent in parents:
            part = part[parent]
        part[last] = value
        if value is None:
            del part[last]
    path.write_text(json.dumps(config))
    checksums["json"]["config"] = storage._json_crc32(config)
    sums.write_text(json.dumps(checksums))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format_version": 3, "wavenet_jax_version": "0.9"},
            f"has format version 3, written by wavenet_jax 0.9, and wavenet_jax "
            f"{wavenet_jax.__version__} reads versions 1 to 2: upgrade wavenet_jax.",
        ),
        (
            {"format_version": "two", "wavenet_jax_version": None},
            "has format version 'two', written by wavenet_jax of an unknown version, and",
        ),
        (
            {"wavenet_jax_version": "0.9", "model__horizon": 3},
            f", written by wavenet_jax 0.9, does not fit wavenet_jax {wavenet_jax.__version__} "
            "(The model has no field 'horizon': use ",
        ),
        ({"model__dilations": None}, "(The model lacks the field 'dilations': give it a value)"),
        ({"model__type": "diffusion"}, "(The model's type is 'diffusion': use one of wavenet, re"),
        ({"model__dilations": [0]}, "(The model's dilations[0] is 0: give at least 1)"),
        ({"training__momentum": 0.9}, "(The training has no field 'momentum': use "),
        ({"training": None}, "(it has no field 'training'): upgrade wavenet_jax, or use "),
        ({"model__global_condition": None}, "that is not known here): upgrade wavenet_jax, or use"),
        (
            {"training__weight_normalization": True},
            "(it has no array opt_state/1/0/mu/directions/params/",
        ),
        ({"model__skip_channels": 99}, "head/kernel is float32 (24, 25), not float32 (99, 25))"),
    ],
    ids=str,
)
def test_another_version_is_no_damage(tmp_path: pathlib.Path, changes: dict, message: str) -> None:
    """Never answered with a word about deleting or moving it."""
    folder = made(tmp_path, (2, 5)) / "5"
    with_config(folder, **changes)
    with pytest.raises(InputError) as caught:
        restored(tmp_path)
    assert str(caught.value).startswith(f"The checkpoint {folder}")
    assert message in str(caught.value)
    assert not re.search("delete|move|damaged|cannot be read", str(caught.value))
    assert_equal(restored(tmp_path, 2).state, make_state(2))


def test_another_number_of_processes(tmp_path: pathlib.Path) -> None:
    """A checkpoint of before, in which each of two processes wrote the position."""
    folder = made(tmp_path) / "1"
    stored, sums = folder / "data" / "metadata", folder / "checksums" / "metadata"
    positions, checksums = json.loads(stored.read_text()), json.loads(sums.read_text())
    assert positions == {"0": POSITION}
    positions["1"] = POSITION
    checksums["json"]["data"] = storage._json_crc32(positions)
    stored.write_text(json.dumps(positions))
    sums.write_text(json.dumps(checksums))
    checkpoint = restored(tmp_path)
    assert_equal(checkpoint.state, make_state(1))
    assert checkpoint.data_position == POSITION


def test_reading_warns_of_nothing(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    made(tmp_path)
    caplog.clear()
    restored(tmp_path)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


# -- writing ----------------------------------------------------------------------


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
import sys
import jax
import numpy as np
from wavenet_jax import WaveNetConfig, training
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.config import to_dict
from wavenet_jax.training import TrainingConfig

model, config = WaveNetConfig(dilations=(1,) * 4), TrainingConfig(num_steps=1000)
described = {"model": to_dict(model), "training": to_dict(config)}
shapes = jax.eval_shape(lambda: training.init_state(model, config))
with Checkpoints(sys.argv[1]) as saved:
    for step in range(1, 1000):
        state = jax.tree.map(lambda x: np.full(x.shape, step, x.dtype), shapes)
        saved.save(state, data_position=step, description=described)
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
            description=DESCRIBED | {"model": to_dict(checkpoint.model_config)},
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
