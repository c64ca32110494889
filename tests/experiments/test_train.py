"""The training program: killed, stopped and resumed to the same end; and what it refuses."""

import contextlib
import json
import pathlib
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
import tiny
from programs import Program

import data
import wavenet_jax
from experiments.common import data_wait, in_use, restore
from experiments.common.reporting import history
from experiments.common.run import Run
from experiments.configs.schema import ExperimentConfig
from experiments.tasks.training import train
from wavenet_jax import InputError
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.training import NonFiniteLossError, SpikeError, loop

CONFIG = pathlib.Path(__file__).with_name("tiny.py")


# -- as a program -----------------------------------------------------------------


def start(workdir: pathlib.Path, data_dir: pathlib.Path, *flags: str, devices: int = 1) -> Program:
    flags = (f"--config={CONFIG}", f"--workdir={workdir}", f"--data_dir={data_dir}", *flags)
    return Program("experiments.train", *flags, devices=devices)


def ended(process: Program) -> str:
    """Waits for a run to end well; gives what it printed on stderr."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return errors


def newest_step(workdir: pathlib.Path) -> int:
    rows = history(workdir)
    return rows[-1]["step"] if rows else 0


def signal_at(process: Program, workdir: pathlib.Path, step: int, number: signal.Signals) -> str:
    """Sends a signal once a step was reported; gives what was printed on stderr."""
    try:
        deadline_s = time.monotonic() + 300
        while newest_step(workdir) < step:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline_s
            time.sleep(0.002)
        process.send_signal(number)
        return process.communicate(timeout=300)[1]
    finally:
        process.kill()


def without_times(workdir: pathlib.Path) -> list[dict[str, Any]]:
    rows = history(workdir)
    return [{key: row[key] for key in row if not key.startswith("time")} for row in rows]


def final_state(workdir: pathlib.Path) -> Any:
    with Checkpoints(workdir) as saved:
        checkpoint = saved.restore()
    return checkpoint.state, checkpoint.data_position


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.long)])
def test_killed_stopped_and_resumed(
    devices: int, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """SIGKILL at a random step, SIGTERM at another: the same losses to the bit as without, and
    without previews.

    So are the last parameters, optimiser, key and position in the data. SIGTERM ends
    with code 0 and a checkpoint of the step that it came in.
    """
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    uninterrupted = start(whole, fsdd_dir, devices=devices)

    kill_at = random.randint(28, 65)
    heard = ("--config.preview_every=0.5", "--config.preview_s=0.01")
    process = start(broken, fsdd_dir, *heard, devices=devices)
    signal_at(process, broken, kill_at, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    killed_at = newest_step(broken)
    assert kill_at <= killed_at < 120

    process = start(broken, fsdd_dir, *heard, devices=devices)
    errors = signal_at(process, broken, max(killed_at, 72), signal.SIGTERM)
    assert process.returncode == 0, errors
    with Checkpoints(broken) as saved:
        stopped_at = saved.latest_step
    assert stopped_at == newest_step(broken)
    assert killed_at <= stopped_at < 120
    assert f"Stopped and saved at step {stopped_at} of 120" in errors

    ended(start(broken, fsdd_dir, *heard, devices=devices))
    page = (broken / "previews" / "index.html").read_text(encoding="utf-8")
    steps = [int(step) for step in re.findall(r'src="(\d+)\.wav"', page)]
    assert steps == sorted(set(steps), reverse=True)
    assert steps[0] == 120
    assert len(steps) > 1
    ended(uninterrupted)
    rows = without_times(whole)
    assert [row["step"] for row in rows if "train/bits_per_sample" in row] == [*range(1, 121)]
    assert [row["step"] for row in rows if "held_out/bits_per_sample" in row] == [
        *range(24, 121, 24)
    ]
    assert without_times(broken) == rows
    (state, position), (resumed, resumed_position) = final_state(whole), final_state(broken)
    jax.tree.map(np.testing.assert_array_equal, resumed, state)
    assert resumed_position == position
    losses = [row["train/bits_per_sample"] for row in rows if "train/bits_per_sample" in row]
    assert np.mean(losses[-10:]) < losses[0] - 1


def test_bad_input_is_one_line_and_exit_code_one(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Whatever the reason: an error of the data's, and one of the library's."""
    processes = [
        start(tmp_path / "a", tmp_path / "nowhere"),
        start(tmp_path / "b", fsdd_dir, "--config.training.learning_rate=-1.0"),
    ]
    for process, message in zip(
        processes, ("holds no prepared corpus", "learning_rate is -1.0"), strict=True
    ):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 1
        assert errors.splitlines()[-1].startswith("error: ")
        assert message in errors.splitlines()[-1]
        assert "Traceback" not in errors
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


# -- as a function ----------------------------------------------------------------


def small(**changes: Any) -> ExperimentConfig:
    """A run of three steps on the eight devices of this process."""
    return tiny.experiment(**{"num_steps": 3, "checkpoint_every": 2} | changes)


@pytest.fixture(scope="module")
def trained(fsdd_dir: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    workdir = tmp_path_factory.mktemp("trained")
    train(small(preview_every=300.0, preview_s=0.05), workdir=workdir, data_dir=fsdd_dir)
    return workdir


def copy_of(workdir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(workdir, tmp_path / "run"))


def content(folder: pathlib.Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_a_run_leaves(trained: pathlib.Path) -> None:
    steps = {path.name for path in (trained / "checkpoints").iterdir()}
    assert steps == {"2", "3"}
    assert list((trained / "tensorboard").iterdir())
    first = history(trained)[0]
    assert first["train/bits_per_sample"] == pytest.approx(8, abs=1e-5)
    assert {"train/gradient_norm", "train/learning_rate"} <= first.keys()
    assert {path.name for path in (trained / "previews").iterdir()} == {
        *("3.wav", "3.png", "recorded.wav", "recorded.png", "index.html")
    }
    for name in ("3", "recorded"):
        assert soundfile.info(trained / "previews" / f"{name}.wav").frames == 400


def test_a_preview_is_a_sample_of_the_model(trained: pathlib.Path, fsdd_dir: pathlib.Path) -> None:
    """In the voice of the held-out recording that is beside it."""
    model = wavenet_jax.load(trained)
    corpus = data.load("fsdd", fsdd_dir, "validation")
    speaker = corpus.class_names["speaker"][corpus.label(0, "speaker")]
    chunks = model.generate(seconds=0.05, seed=3, labels=speaker)
    heard, _ = soundfile.read(trained / "previews" / "3.wav", dtype="int16")
    np.testing.assert_array_equal(heard, np.concatenate(list(chunks)))
    recorded, _ = soundfile.read(trained / "previews" / "recorded.wav", dtype="int16")
    real = corpus.recording(0)["audio"][:400]
    assert np.corrcoef(recorded, real)[0, 1] > 0.99


def test_a_preview_without_conditions_has_no_recording(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    config = small(
        **{"global_condition.labels": ()}, num_steps=1, preview_every=300.0, preview_s=0.05
    )
    train(config, workdir=tmp_path, data_dir=fsdd_dir)
    files = {path.name for path in (tmp_path / "previews").iterdir()}
    assert files == {"1.wav", "1.png", "index.html"}
    train(small(preview_every=0.0), workdir=tmp_path / "off", data_dir=fsdd_dir)
    assert not (tmp_path / "off" / "previews").exists()


def test_a_finished_run_is_left_alone(
    trained: pathlib.Path, fsdd_dir: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(trained)
    state, stopped = train(small(), workdir=trained, data_dir=fsdd_dir)
    assert int(state.step) == 3
    assert not stopped
    assert "is trained to step 3 already" in capsys.readouterr().err
    assert content(trained) == before


def test_a_second_training_in_a_workdir_is_refused(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with in_use.held(tmp_path), pytest.raises(InputError, match="is in use by process"):
        train(small(), workdir=tmp_path, data_dir=fsdd_dir)
    assert not (tmp_path / "checkpoints").exists()


def test_a_finished_run_can_be_lengthened(
    trained: pathlib.Path, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    workdir = copy_of(trained, tmp_path)
    state, stopped = train(small(num_steps=4), workdir=workdir, data_dir=fsdd_dir)
    assert int(state.step) == 4
    assert not stopped
    assert newest_step(workdir) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.residual_channels": 4}, "--config.model.residual_channels is 4, .* has 8"),
        ({"model.dilations": (1, 2)}, r"--config.model.dilations is \[1, 2\], .* has \[1, 2, 4\]"),
        ({"global_condition.labels": ()}, r"--config.global_condition.labels is \[\], .*speaker"),
        ({"pretrained": "other"}, "--config.pretrained is 'other', and the run .* has None"),
        ({"seed": 4}, "--config.seed is 4, and the run in the work directory has 3: give the same"),
        ({"segment_samples": 61}, "--config.segment_samples is 61, and .* has 60"),
        (
            {"training.weight_normalization": True},
            "--config.training.weight_normalization is True, and .* has False",
        ),
        ({"training.optimizer": "muon"}, "--config.training.optimizer is 'muon', .* has 'adam'"),
        ({"augmentation.gain_db": 3.0}, "--config.augmentation.gain_db is 3.0, and .* has 0.0"),
    ],
    ids=str,
)
def test_another_config_cannot_resume(
    changes: dict,
    message: str,
    trained: pathlib.Path,
    fsdd_dir: pathlib.Path,
) -> None:
    """A sentence with both values, and the run that was there is untouched."""
    before = content(trained)
    with pytest.raises((InputError, data.DataError), match=message):
        train(small(num_steps=4, **changes), workdir=trained, data_dir=fsdd_dir)
    assert content(trained) == before


def test_a_damaged_checkpoint_is_named(
    trained: pathlib.Path, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """And once it is deleted, as the error says, the run goes on from the one before."""
    workdir = copy_of(trained, tmp_path)
    newest = workdir / "checkpoints" / "3"
    for path in (newest / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=f"^The checkpoint {newest} cannot be read "):
        train(small(num_steps=4), workdir=workdir, data_dir=fsdd_dir)
    shutil.rmtree(newest)
    train(small(), workdir=workdir, data_dir=fsdd_dir)
    assert without_times(workdir)[-2:] == without_times(trained)[-2:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": 0}, "--config.num_steps is 0"),
        ({"num_steps": -1}, "--config.num_steps is -1"),
        ({"batch_size": 0}, "--config.batch_size is 0"),
        ({"segment_samples": -5}, "--config.segment_samples is -5"),
        ({"checkpoint_every": 0}, "--config.checkpoint_every is 0"),
        ({"keep_checkpoints": 0}, "--config.keep_checkpoints is 0"),
        ({"log_every": 0}, "--config.log_every is 0"),
        ({"max_spike": 0.0}, "--config.max_spike is 0.0"),
        ({"max_returns": -1}, "--config.max_returns is -1"),
        ({"held_out_recordings": 0}, "--config.held_out_recordings is 0"),
        ({"train_recordings": 0}, "--config.train_recordings is 0"),
        ({"batch_size": 12}, "batch of 12 .* does not divide over 8 devices"),
        ({"training.num_microbatches": 2}, "A device has 1 of the batch.s windows, .* num_mic"),
        ({"model.kernel_size": 1}, "--config.model.kernel_size is 1"),
        ({"training.learning_rate": 0.0}, "--config.training.learning_rate is 0.0"),
        ({"sample_rate_hz": 16000}, "sample_rate_hz is 16000, and the fsdd corpus has 8000 Hz"),
        ({"global_condition.labels": ("singer",)}, "fsdd corpus has no label 'singer'"),
        ({"local_condition.features": "moods"}, "--config.local_condition.features is 'moods'"),
        ({"augmentation.gain_db": -1.0}, "--config.augmentation.gain_db is -1.0"),
        ({"held_out_split": "dev"}, "has no split 'dev'"),
        ({"dataset": "nothing"}, "no dataset is called 'nothing'"),
    ],
    ids=str,
)
def test_bad_configs(
    changes: dict, message: str, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A sentence, and no checkpoint."""
    with pytest.raises((InputError, data.DataError), match=message):
        train(small(**changes), workdir=tmp_path / "run", data_dir=fsdd_dir)
    assert not list(tmp_path.glob("run/checkpoints/*"))


def test_a_workdir_that_cannot_be_written(fsdd_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Below a regular file (this holds for root too, whom permissions do not stop)."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"Nothing can be written to {tmp_path}/file/run "):
        train(small(), workdir=tmp_path / "file" / "run", data_dir=fsdd_dir)


def test_no_number_leaves_the_last_checkpoint(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A wild learning rate: the error names the step, and what was saved before is whole."""
    config = small(
        **{"training.learning_rate": 1e30, "training.warmup_steps": 0, "num_steps": 50},
        checkpoint_every=1,
    )
    with pytest.raises(NonFiniteLossError, match=r"^At step \d+ the "):
        train(config, workdir=tmp_path, data_dir=fsdd_dir)
    with Checkpoints(tmp_path) as saved:
        assert int(saved.restore().state.step) == newest_step(tmp_path)


def diverging_in(monkeypatch: pytest.MonkeyPatch, samples: np.ndarray, value: float) -> None:
    """Training steps whose loss in a batch with these samples is `value`."""
    real = loop.make_parallel_step

    def make(*args: Any) -> Callable[..., Any]:
        step = real(*args)

        def diverging(state: Any, batch: dict[str, np.ndarray]) -> Any:
            state, metrics = step(state, batch)
            if np.array_equal(batch["samples"].reshape(samples.shape), samples):
                metrics = metrics | {"bits_per_sample": jnp.float32(value)}
            return state, metrics

        return diverging

    monkeypatch.setattr(loop, "make_parallel_step", make)


def batch_of(number: int, fsdd_dir: pathlib.Path) -> dict[str, np.ndarray]:
    """A batch of the training of `small`, from 1."""
    corpus = data.load("fsdd", fsdd_dir, "train")
    with contextlib.closing(Run.create(small(), corpus).windows(corpus)) as batches:
        return [next(batches) for _ in range(number)][-1]


@pytest.mark.parametrize("value", [np.nan, 99.0])
def test_a_diverging_batch_is_saved_and_left_out(
    value: float,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A loss that is no number, or a spike: with returns the training goes back to the checkpoint
    before it, and on with the data after the batch; without, it ends there."""
    bad = batch_of(6, fsdd_dir)
    diverging_in(monkeypatch, bad["samples"], value)
    monkeypatch.setattr(loop, "SPIKE_AFTER_STEPS", 3)
    changes = {"num_steps": 8, "checkpoint_every": 4, "max_spike": 5.0}
    error = NonFiniteLossError if np.isnan(value) else SpikeError
    with pytest.raises(
        error, match=rf"^At step 6 .*; its batch is {tmp_path}/ends/diverged/step_6"
    ):
        train(small(**changes), workdir=tmp_path / "ends", data_dir=fsdd_dir)
    assert newest_step(tmp_path / "ends") == 5
    assert not capsys.readouterr().err.count("goes back")

    workdir = tmp_path / "returns"
    train(small(**changes, max_returns=1), workdir=workdir, data_dir=fsdd_dir)
    assert "At step 6 the bits per sample is " in (said := capsys.readouterr().err)
    assert "goes back to its newest checkpoint, and on with the data after that batch" in said
    assert "(return 1 of 1)" in said
    steps = [row["step"] for row in history(workdir) if "train/learning_rate" in row]
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8]
    state, position = final_state(workdir)
    assert int(state.step) == 8
    assert position["next_batch"] == 6 + 4
    with np.load(workdir / "diverged" / "step_6.npz") as saved:
        assert saved.keys() == bad.keys()
        for name in bad:
            np.testing.assert_array_equal(saved[name], bad[name])


def test_returns_have_an_end(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training that diverges whatever the data."""
    config = small(
        **{"training.learning_rate": 1e30, "training.warmup_steps": 0}, num_steps=50, max_returns=2
    )
    with pytest.raises(NonFiniteLossError, match=r"^At step \d+ the "):
        train(config, workdir=tmp_path, data_dir=fsdd_dir)
    assert "(return 2 of 2)" in capsys.readouterr().err


@pytest.mark.parametrize("slow", ["loader", "steps"])
def test_one_line_where_devices_wait_for_data(
    slow: str,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the stage that takes most of the time, and the remedy; none where the steps are slow."""
    monkeypatch.setattr(data_wait, "MIN_STEPS", 4)
    monkeypatch.setattr(data_wait, "MIN_S", 0.0)
    if slow == "loader":
        plain = data.Augmentation.__call__
        monkeypatch.setattr(
            data.Augmentation, "__call__", lambda *args: time.sleep(0.02) or plain(*args)
        )
    else:
        make = loop.make_parallel_step

        def make_slow(*args: Any) -> Callable[..., Any]:
            step = make(*args)
            return lambda *args: time.sleep(0.1) or step(*args)

        monkeypatch.setattr(loop, "make_parallel_step", make_slow)
    config = small(**{"augmentation.gain_db": 3.0}, num_steps=14, checkpoint_every=14)
    train(config, workdir=tmp_path, data_dir=fsdd_dir)
    lines = [line for line in capsys.readouterr().err.splitlines() if "wait for data" in line]
    shares = [row["time/data_wait"] for row in history(tmp_path) if "time/data_wait" in row]
    assert len(shares) == 14
    if slow == "steps":
        assert lines == []
        assert np.mean(shares[4:]) < 0.1
        return
    (line,) = lines
    assert re.search(
        r"^Devices wait for data \d+% of the time: \d.\d batches/s are read, and \d.* are needed; "
        r"\d+% of the readers' time goes to augmentation: give .*, or less --config.augmentation",
        line,
    )
    assert np.mean(shares[4:]) > 0.3


def test_a_step_that_does_not_fit_names_the_remedy(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*args: Any) -> Any:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr(loop, "make_parallel_step", lambda *args: exhausted)
    with pytest.raises(InputError, match=r"memory \(RESOURCE.* 9 bytes\): raise .*num_microb"):
        train(small(), workdir=tmp_path, data_dir=fsdd_dir)


def test_speakers_of_a_pretrained_run_are_found_by_name(
    trained: pathlib.Path,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beside digits, which are new."""
    config = small(
        **{"global_condition.labels": ("digit", "speaker"), "training.learning_rate": 1e-9},
        num_steps=1,
        pretrained=str(trained),
    )
    train(config, workdir=tmp_path, data_dir=fsdd_dir)
    lines = capsys.readouterr().err
    assert "matched by name: global_embedding/table." in lines
    assert "New in the global condition and begun at random: digit: 0, digit: 1, " in lines
    assert "Not taken" not in lines
    pretrained, begun = (
        restore.load(workdir).params["params"]["global_embedding"]["table"]
        for workdir in (trained, tmp_path)
    )
    assert begun.shape == (10 + len(pretrained), 4)
    np.testing.assert_allclose(begun[10:], pretrained, atol=1e-6)


@contextlib.contextmanager
def interrupting(step: int, number: signal.Signals) -> Iterator[Callable[..., bool]]:
    """Raises a signal in this process once a step is reported."""
    from experiments.common.reporting import Reporter

    plain = Reporter.progress

    def progress(self: Reporter, at: int, *args: Any) -> None:
        plain(self, at, *args)
        if at == step:
            signal.raise_signal(number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reporter, "progress", progress)
        yield progress


def test_ctrl_c_saves_and_ends(fsdd_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """With the handlers that were there before put back."""
    before = signal.getsignal(signal.SIGINT)
    with interrupting(3, signal.SIGINT):
        state, stopped = train(small(num_steps=30), workdir=tmp_path, data_dir=fsdd_dir)
    assert stopped
    assert 3 <= int(state.step) < 6
    with Checkpoints(tmp_path) as saved:
        assert saved.latest_step == int(state.step)
    assert signal.getsignal(signal.SIGINT) is before
    assert json.dumps(without_times(tmp_path))
