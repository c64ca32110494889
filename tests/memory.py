"""Watches how much memory the programs take (`make memory`), on Linux.

    python tests/memory.py [--gigabytes=10] [--steps=4000] [--hours=1]

A corpus of so many GB of noise is prepared by two processes, a small model is trained on it, and
then generates so many hours of sound. Each program is watched four times a second, and is ended
with exit code 1 where it and the processes that it started hold more than a tenth of what the
corpus holds, or where the second half of its time holds more than `MAX_GROWTH` beyond the first.
It takes about half an hour on two cores, and twice the disk space of the corpus.
"""

import argparse
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = ROOT / "tests" / "experiments" / "tiny.py"
RATE_HZ, RECORDING_S = 8000, 300
EVERY_S = 0.25
MAX_GROWTH = 0.05
"""Of the peak of the first half."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--folder", type=pathlib.Path, help="where the corpus is; else temporary")
    options = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    limit = int(options.gigabytes * 1e9 / 10)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        work = pathlib.Path(folder)
        _write_recordings(work / "recordings", options.gigabytes)
        corpora, workdir = f"--data_dir={work / 'corpora'}", f"--workdir={work / 'run'}"
        source = f"--source={work / 'recordings'}"
        _watch(limit, "prepare", "--dataset=folder", source, corpora, "--num_workers=2")
        _watch(
            limit,
            "train",
            *(f"--config={CONFIG}", corpora, workdir),
            *("--config.dataset=folder", "--config.global_condition.labels=()"),
            *(f"--config.num_steps={options.steps}", "--config.checkpoint_every=500"),
        )
        _watch(
            limit, "sample", workdir, f"--out={work / 'out'}", f"--seconds={3600 * options.hours}"
        )


def _write_recordings(folder: pathlib.Path, gigabytes: float) -> None:
    """Names of one recording of noise, which no compression makes smaller."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(-9999, 9999, RECORDING_S * RATE_HZ, np.int16)
    for i in range(round(gigabytes * 1e9 / noise.nbytes)):
        path = folder / f"{i:05}.wav"
        if i:
            path.symlink_to(folder / "00000.wav")
        else:
            soundfile.write(path, noise, RATE_HZ)


def _watch(limit: int, program: str, *flags: str) -> None:
    """Runs `experiments.PROGRAM`, and prints how much memory it took."""
    command = [sys.executable, "-m", f"experiments.{program}", *flags]
    begun_s, held = time.monotonic(), []
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None:
            held.append(_held_bytes(process.pid))
            if held[-1] > limit:
                process.kill()
                raise SystemExit(f"{program} held {_mib(held[-1])}, more than {_mib(limit)}")
            time.sleep(EVERY_S)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{program} failed:\n{errors.read()[-3000:]}")
    middle = len(held) // 2
    before, after = max(held[:middle]), max(held[middle:])
    print(
        f"{program}: {time.monotonic() - begun_s:.0f} s, at most {_mib(before)} in the first half "
        f"and {_mib(after)} in the second, of {_mib(limit)}",
        flush=True,
    )
    if after > (1 + MAX_GROWTH) * before:
        raise SystemExit(f"the memory of {program} grows")


def _held_bytes(pid: int) -> int:
    """Of a process and those below it; what several hold is counted once."""
    total = 0
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        children = [(task / "children").read_text().split() for task in tasks]
    except (OSError, StopIteration):  # it ended meanwhile
        return total
    return total + sum(map(_held_bytes, map(int, itertools.chain.from_iterable(children))))


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
