"""Kills programs at random moments, over and over, and compares what they end with (`make soak`).

    python tests/soak.py --kills=200 [--seed=0]

Preparing, training, saving (a training with a checkpoint after every step) and exporting are each
run once without a disturbance. Then each is killed by SIGKILL at a random moment, again and again,
and after every few kills left to its end. After a kill nothing half-written has a name that is
read, and a training has lost no more than the steps since its last complete checkpoint; at the end
everything is what it was without a disturbance, to the bit. The first thing that is not ends the
soak with exit code 1. It takes about ten seconds a kill.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import soundfile
from tqdm import tqdm

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

CONFIG = ROOT / "tests" / "experiments" / "tiny.py"
NUM_STEPS, EVERY = 240, 12
KILLS_A_RUN = 4


@dataclasses.dataclass(frozen=True)
class Job:
    """A program that is killed.

    Attributes:
      name: for people.
      command: program and flags; `{work}` stands for the folder of this run.
      digest: of what it leaves, from that folder.
      check: what holds after a kill, from that folder; raises an AssertionError otherwise.
      cleared: what is removed before each run anew, within that folder.
    """

    name: str
    command: tuple[str, ...]
    digest: Callable[[pathlib.Path], str]
    check: Callable[[pathlib.Path], None]
    cleared: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        os.environ |= {
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(work / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        }
        _write_recordings(work / "recordings")
        jobs = _jobs(work)
        expected, durations_s = {}, {}
        for job in jobs:
            for _ in range(2):  # the second run finds compiled programs
                _clear(work, job)
                begun_s = time.monotonic()
                _run(job)
                durations_s[job.name] = time.monotonic() - begun_s
            expected[job.name] = job.digest(work)
            job.check(work)
            print(f"{job.name}: {durations_s[job.name]:.1f} s undisturbed", flush=True)
        killed = dict.fromkeys(expected, 0)
        with tqdm(total=options.kills, unit=" kills") as bar:
            while bar.n < options.kills:
                job = min(jobs, key=lambda job: killed[job.name])
                _clear(work, job)
                for _ in range(KILLS_A_RUN):
                    if _killed(job, draw.uniform(0, durations_s[job.name])):
                        killed[job.name] += 1
                        bar.update()
                    job.check(work)
                _run(job)
                if job.digest(work) != expected[job.name]:
                    raise SystemExit(f"{job.name} ended differently after kills")
        print(json.dumps(killed))


def _write_recordings(folder: pathlib.Path) -> None:
    folder.mkdir()
    noise = np.random.default_rng(0)
    for i in range(60):
        time_s = np.arange(8000 + 100 * i) / 8000
        tone = 8000 * np.sin(2 * np.pi * (150 + 5 * i) * time_s)
        samples = (tone + noise.normal(0, 300, len(time_s))).astype(np.int16)
        soundfile.write(folder / f"{i:02}.wav", samples, 8000)


def _jobs(work: pathlib.Path) -> list[Job]:
    python, corpora = (sys.executable, "-m"), f"--data_dir={work / 'corpora'}"
    training = (
        *python,
        "experiments.train",
        f"--config={CONFIG}",
        corpora,
        "--config.dataset=folder",
        "--config.global_condition.labels=()",
        "--config.training.fused=off",
    )
    long = (f"--config.num_steps={NUM_STEPS}", f"--config.checkpoint_every={EVERY}")
    short = ("--config.num_steps=24", "--config.checkpoint_every=1")
    return [
        Job(
            "prepare",
            (
                *(*python, "experiments.prepare", "--dataset=folder", "--f0", corpora),
                f"--source={work / 'recordings'}",
            ),
            lambda work: _files_digest(work / "corpora"),
            lambda work: _check_corpus(work / "corpora" / "folder"),
            "corpora",
        ),
        Job(
            "train",
            (*training, *long, f"--workdir={work / 'train'}"),
            lambda work: _state_digest(work / "train"),
            lambda work: _check_run(work / "train", EVERY),
            "train",
        ),
        Job(
            "save",
            (*training, *short, f"--workdir={work / 'save'}"),
            lambda work: _state_digest(work / "save"),
            lambda work: _check_run(work / "save", 1),
            "save",
        ),
        Job(
            "export",
            (
                *(*python, "experiments.export", f"--workdir={work / 'train'}", corpora),
                f"--out={work / 'models' / 'tiny'}",
            ),
            lambda work: _files_digest(work / "models" / "tiny"),
            lambda work: _check_model(work / "models" / "tiny"),
            "models",
        ),
    ]


def _clear(work: pathlib.Path, job: Job) -> None:
    subprocess.run(["rm", "-rf", str(work / job.cleared)], check=True)


def _run(job: Job) -> None:
    ended = subprocess.run(job.command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode and not _is_there_already(ended.stderr):
        raise SystemExit(f"{job.name} failed:\n{ended.stderr[-3000:]}")


def _is_there_already(errors: str) -> bool:
    """A model is not written where there is one: that a run that was killed had written it all is
    no failure."""
    return "is there already" in errors


def _killed(job: Job, after_s: float) -> bool:
    """Runs a job and kills it after a time; whether it was still running, and well until then."""
    process = subprocess.Popen(
        job.command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    if process.returncode and not _is_there_already(errors):
        raise SystemExit(f"{job.name} failed after a kill:\n{errors[-3000:]}")
    return False


def _files_digest(folder: pathlib.Path) -> str:
    """Of names and contents, without the card, which tells the date."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and path.name != "README.md":
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _state_digest(workdir: pathlib.Path) -> str:
    """Of the newest checkpoint's state and the position in the data, and of the history."""
    import jax

    from experiments.common.reporting import history
    from wavenet_jax.checkpoints import Checkpoints

    with Checkpoints(workdir, read_only=True) as saved:
        checkpoint = saved.restore("last")
    digest = hashlib.sha256(json.dumps(checkpoint.data_position).encode())
    for leaf in jax.tree.leaves(checkpoint.state):
        digest.update(np.asarray(leaf).tobytes())
    rows = [
        {name: row[name] for name in row if not name.startswith("time")} for row in history(workdir)
    ]
    digest.update(json.dumps(rows).encode())
    return digest.hexdigest()


def _check_corpus(folder: pathlib.Path) -> None:
    """A version that is there is whole."""
    import data

    if list(folder.glob("[0-9]*")):
        corpus = data.load("folder", folder.parent, "train")
        assert all(len(corpus.recording(i)["audio"]) for i in range(len(corpus)))


def _check_run(workdir: pathlib.Path, every: int) -> None:
    """The newest checkpoint is whole, and at most one that was being written is lost."""
    from experiments.common.reporting import history
    from wavenet_jax.checkpoints import Checkpoints

    rows = history(workdir) if workdir.exists() else []
    reported = rows[-1]["step"] if rows else 0
    # A step is reported before its checkpoint begins, and the last that began may be half-written.
    complete = (int(reported) - 1) // every * every - every
    if complete > 0:
        with Checkpoints(workdir, read_only=True) as saved:
            step = int(saved.restore("last").state.step)
        assert step >= complete, f"step {reported} was reported, and step {step} is the newest"


def _check_model(folder: pathlib.Path) -> None:
    import wavenet_jax

    if folder.exists():
        wavenet_jax.load(folder)


if __name__ == "__main__":
    main()
