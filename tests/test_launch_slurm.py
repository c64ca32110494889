"""launch_slurm.sh against stand-ins for srun and scontrol."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = ROOT / "launch_slurm.sh"
CONFIG = ROOT / "tests" / "experiments" / "tiny.py"

# As many processes as Slurm's variables say, each with those of its own. One that fails ends the
# others, which might else wait for it for minutes.
SRUN = """#!/bin/bash
shift  # --kill-on-bad-exit=1
shift  # .venv/bin/python
for ((i = 0; i < SLURM_NTASKS; i++)); do
  SLURM_PROCID=$i SLURM_LOCALID=$i "$PYTHON" "$@" &
  echo $! >> "$PIDS"
done
code=0
for ((i = 0; i < SLURM_NTASKS; i++)); do
  wait -n || { code=$?; kill -KILL $(cat "$PIDS") 2>/dev/null; }
done
exit $code
"""


@pytest.fixture
def cluster(tmp_path: pathlib.Path) -> dict[str, str]:
    """The environment of a job with two processes."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text(SRUN)
    (programs / "scontrol").write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/scontrol\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PIDS": str(tmp_path / "pids"),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "1",
        "SLURM_JOB_ID": str(1000 + os.getpid() % 1000),
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
    }


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [SCRIPT, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
def test_two_processes_stopped_and_gone_on(
    cluster: dict[str, str], fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Stopped by SIGTERM as before the time is up, the job goes back into the queue; started again
    it comes to its end, and not back."""
    flags = [f"--config={CONFIG}", f"--workdir={tmp_path / 'run'}", f"--data_dir={fsdd_dir}"]
    flags += ["--config.training.fused=off"]
    job = start(cluster, *flags, "--config.num_steps=100000")
    deadline_s = time.monotonic() + 300
    while not (tmp_path / "run" / "checkpoints" / "24").exists():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    for pid in (tmp_path / "pids").read_text().split():
        os.kill(int(pid), signal.SIGTERM)
    printed, errors = job.communicate(timeout=300)
    assert job.returncode == 0, printed
    assert "Stopped and saved at step" in printed
    assert "back into the queue" in errors
    requeued = (tmp_path / "scontrol").read_text()
    assert requeued == f"requeue {cluster['SLURM_JOB_ID']}\n"

    (tmp_path / "pids").unlink()
    steps = max(int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir())
    job = start(cluster, *flags, f"--config.num_steps={steps + 24}")
    printed, errors = job.communicate(timeout=300)
    assert job.returncode == 0, printed
    assert (tmp_path / "run" / "checkpoints" / str(steps + 24)).exists()
    assert (tmp_path / "scontrol").read_text() == requeued


def test_what_failed_is_not_repeated(cluster: dict[str, str], tmp_path: pathlib.Path) -> None:
    job = start(cluster, f"--config={CONFIG}", f"--workdir={tmp_path / 'run'}", "--data_dir=no")
    printed, _ = job.communicate(timeout=300)
    assert job.returncode != 0
    assert "holds no prepared corpus" in printed
    assert not (tmp_path / "scontrol").exists()


def test_restarts_have_an_end(cluster: dict[str, str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "bin" / "srun").write_text("#!/bin/bash\necho Stopped and saved at step 3 of 9\n")
    cluster |= {"SLURM_RESTART_COUNT": "20"}
    job = start(cluster, "--config=a", "--workdir=b")
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "restarted 20 times already" in errors
    assert not (tmp_path / "scontrol").exists()


def test_bad_use(cluster: dict[str, str]) -> None:
    job = start(cluster, "--config=a")
    assert "must hold --config and --workdir" in job.communicate(timeout=60)[1]
    assert job.returncode == 2
    del cluster["SLURM_JOB_ID"]
    job = start(cluster, "--config=a", "--workdir=b")
    assert "say sbatch launch_slurm.sh" in job.communicate(timeout=60)[1]
    assert job.returncode == 2
