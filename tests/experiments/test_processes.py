"""Several processes of one training: the loss whatever they are, and what they do when one ends."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments.common import processes
from experiments.common.reporting import history
from wavenet_jax import InputError

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = pathlib.Path(__file__).with_name("tiny.py")
STEPS = 50


def start(
    workdir: pathlib.Path,
    data_dir: pathlib.Path,
    *flags: str,
    number: int = 1,
    devices: int = 1,
) -> list[subprocess.Popen[str]]:
    """`number` processes of one training with so many devices each."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "experiments.train", f"--config={CONFIG}", *flags]
    command += [f"--workdir={workdir}", f"--data_dir={data_dir}", "--config.training.fused=off"]
    if number > 1:
        command += ["--multihost", f"--coordinator=localhost:{port}", f"--num_processes={number}"]
    return [
        subprocess.Popen(
            [*command, *([f"--process_id={i}"] if number > 1 else [])],
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(number)
    ]


def ended(started: list[subprocess.Popen[str]]) -> None:
    """Waits for processes to end well."""
    try:
        outputs = [process.communicate(timeout=400)[1] for process in started]
    finally:
        kill(started)
    assert [process.returncode for process in started] == [0] * len(started), outputs


def kill(started: list[subprocess.Popen[str]]) -> None:
    for process in started:
        process.kill()
        process.communicate()


def test_any_processes_and_devices_learn_the_same(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """N processes with D devices each, and M that go on from the middle of what N began: the losses
    are those of one device, to float32 rounding."""
    flags = (f"--config.num_steps={STEPS}", f"--config.checkpoint_every={STEPS // 2}")

    def run(name: str, number: int, devices: int) -> list[subprocess.Popen[str]]:
        return start(tmp_path / name, fsdd_dir, *flags, number=number, devices=devices)

    def half(name: str, new: str) -> None:
        shutil.copytree(tmp_path / name, tmp_path / new)
        shutil.rmtree(tmp_path / new / "checkpoints" / str(STEPS))

    ended(run("1x1", 1, 1) + run("1x4", 1, 4))
    half("1x4", "1x4 to 2x2")
    ended(run("4x1", 4, 1) + run("1x4 to 2x2", 2, 2))
    half("4x1", "4x1 to 1x1")
    ended(run("4x1 to 1x1", 1, 1))
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


def test_what_describes_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--multihost lacks --num_processes, --process_id"):
        processes.join("localhost:1234")
    with pytest.raises(InputError, match="--process_id is 2, of 2 processes: .* 0 to 1"):
        processes.join("localhost:1234", 2, 2)
    with pytest.raises(InputError, match="--coordinator is 'localhost': give HOST:PORT"):
        processes.join("localhost", 2, 0)
    with pytest.raises(InputError, match="not detected .*: give --coordinator"):
        processes.join()
