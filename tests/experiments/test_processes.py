"""Several processes of one training: the loss whatever they are, and what they do when one ends."""

import json
import pathlib
import shutil
import signal
import socket
import time

import jax
import numpy as np
import programs
import pytest
from programs import Program

from experiments.common import processes
from experiments.common.reporting import history
from wavenet_jax import InputError

CONFIG = pathlib.Path(__file__).with_name("tiny.py")
STEPS = 50


def start(
    workdir: pathlib.Path, data_dir: pathlib.Path, *flags: str, number: int = 1, devices: int = 1
) -> list[Program]:
    """`number` processes of one training with so many devices each."""
    config = (f"--config={CONFIG}", "--config.training.fused=off")
    where = (f"--workdir={workdir}", f"--data_dir={data_dir}")
    return start_program("train", *config, *where, *flags, number=number, devices=devices)


def start_program(program: str, *flags: str, number: int, devices: int = 1) -> list[Program]:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    flags = (f"experiments.{program}", *flags)
    if number == 1:
        return [Program(*flags, devices=devices)]
    flags += ("--multihost", f"--coordinator=localhost:{port}", f"--num_processes={number}")
    return [Program(*flags, f"--process_id={i}", devices=devices) for i in range(number)]


def ended(started: list[Program]) -> list[str]:
    """Waits for processes to end well; gives what each printed on stdout."""
    try:
        outputs = [process.communicate(timeout=400) for process in started]
    finally:
        kill(started)
    assert [process.returncode for process in started] == [0] * len(started), outputs
    return [output for output, _ in outputs]


def kill(started: list[Program]) -> None:
    for process in started:
        process.kill()
        process.communicate()


def test_any_processes_and_devices_learn_the_same(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """N processes with D devices each, and M that go on from the middle of what N began: the losses
    are those of one device, to float32 rounding."""
    flags = (f"--config.num_steps={STEPS}", f"--config.checkpoint_every={STEPS // 2}")

    def run(name: str, number: int, devices: int, *more: str) -> list[Program]:
        return start(tmp_path / name, fsdd_dir, *flags, *more, number=number, devices=devices)

    def half(name: str, new: str) -> None:
        shutil.copytree(tmp_path / name, tmp_path / new)
        shutil.rmtree(tmp_path / new / "checkpoints" / str(STEPS))

    heard = ("--config.preview_every=5", "--config.preview_s=0.01")  # in the first process alone
    ended(run("1x1", 1, 1) + run("1x4", 1, 4))
    half("1x4", "1x4 to 2x2")
    ended(run("4x1", 4, 1) + run("1x4 to 2x2", 2, 2, *heard))
    half("4x1", "4x1 to 1x1")
    ended(run("4x1 to 1x1", 1, 1))
    assert (tmp_path / "1x4 to 2x2" / "previews" / f"{STEPS}.wav").exists()
    curves = {}
    for name in ("1x1", "1x4", "4x1", "1x4 to 2x2", "4x1 to 1x1"):
        rows = [row for row in history(tmp_path / name) if "train/bits_per_sample" in row]
        assert [row["step"] for row in rows] == [*range(1, STEPS + 1)], name
        curves[name] = np.array([row["train/bits_per_sample"] for row in rows])
        np.testing.assert_allclose(curves[name], curves["1x1"], rtol=1e-4, err_msg=name)
        others = [row for row in history(tmp_path / name) if "held_out/bits_per_sample" in row]
        assert [row["step"] for row in others] == [STEPS // 2, STEPS]
    assert curves["1x1"][-1] < curves["1x1"][0] - 1


def test_one_that_is_killed_ends_the_others(fsdd_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """With one sentence that names the newest checkpoint, whichever process was killed."""
    for victim in range(2):
        workdir = tmp_path / str(victim)
        started = start(workdir, fsdd_dir, "--config.num_steps=100000", number=2)
        try:
            while not (workdir / "checkpoints" / "24").exists():
                assert all(process.poll() is None for process in started)
                time.sleep(0.1)
            started[victim].send_signal(signal.SIGKILL)
            begun_s = time.monotonic()
            _, errors = started[1 - victim].communicate(timeout=2 * processes.HEARTBEAT_S)
            assert time.monotonic() - begun_s < processes.HEARTBEAT_S
        finally:
            kill(started)
        assert started[1 - victim].returncode == 1
        last = errors.strip().splitlines()[-1]
        assert last.startswith(f"error: Process {1 - victim} of 2 cannot go on, since another one")
        assert "the newest checkpoint is " in last
        assert str(workdir / "checkpoints") in last


def test_a_checkpoint_fails_for_another_process_as_a_step_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What only the disk or a bucket said is not of another process."""

    def end(error: object) -> None:
        raise SystemExit(str(error))

    def save(error: Exception) -> None:
        with processes.ending_together(lambda: "nothing is kept"):
            try:
                raise error
            except Exception as cause:
                raise InputError("Not written in runs/coordinates: free some space.") from cause

    monkeypatch.setattr(processes, "_end", end)
    lost = jax.errors.JaxRuntimeError("Read error: Connection reset by peer")
    with pytest.raises(InputError):
        save(lost)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    for of_others in (
        lost,
        ValueError("Gloo AllGather failed: Connection closed by peer"),
        TimeoutError("Timed out while waiting for async_write_complete barrier."),
    ):
        with pytest.raises(SystemExit, match=str(of_others)):
            save(of_others)
    for other in (
        OSError("Connection reset by peer"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"),
    ):
        with pytest.raises(InputError):
            save(other)


def test_scores_and_samples_are_spread(
    trained_dir: pathlib.Path, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Over two processes: one figure, and the files that one process writes."""
    workdir, corpora = f"--workdir={trained_dir}", f"--data_dir={fsdd_dir}"
    scored = (workdir, corpora, "--split=train")
    drawn = (workdir, "--num_samples=3", "--seconds=0.02", "--label=high,low")
    started = [
        start_program("evaluate", *scored, f"--json={tmp_path / 'two.json'}", number=2),
        start_program("sample", *drawn, f"--out={tmp_path / 'two'}", number=2),
        start_program("evaluate", *scored, f"--json={tmp_path / 'one.json'}", number=1),
        start_program("sample", *drawn, f"--out={tmp_path / 'one'}", number=1),
    ]
    of_two, _, (of_one,), _ = [ended(processes) for processes in started]
    assert "bits per sample over 12 recordings" in of_one
    assert of_two[0].endswith(of_one)
    assert "bits per sample" not in of_two[1]
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert two.pop("bits_per_sample") == pytest.approx(one.pop("bits_per_sample"), rel=1e-6)
    assert {**one, "wall_s": 0} == {**two, "wall_s": 0}
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert len(files) == 3
    assert {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()} == files


def test_what_describes_no_processes(run: programs.Run, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="--multihost lacks --num_processes, --process_id"):
        processes.join("localhost:1234")
    with pytest.raises(InputError, match="--process_id is 2, of 2 processes: .* 0 to 1"):
        processes.join("localhost:1234", 2, 2)
    with pytest.raises(InputError, match="--coordinator is 'localhost': give HOST:PORT"):
        processes.join("localhost", 2, 0)
    flags = (f"--config={CONFIG}", f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path}")
    ended = run("experiments.train", *flags, "--multihost")
    assert ended.returncode == 1
    assert "not detected" in ended.stderr
    assert "give --coordinator, --num_processes and --process_id" in ended.stderr
    ended = run("experiments.train", *flags, "--process_id=1")
    assert "--coordinator, --num_processes and --process_id need --multihost" in ended.stderr
    assert not list(tmp_path.iterdir())
