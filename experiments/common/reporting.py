"""Reports of a training run: TensorBoard, a history file, a progress bar.

    workdir/tensorboard/   the scalars, for TensorBoard
    workdir/history.jsonl  the same, for programs: one JSON object a line,
                           {"step": 20, "time_s": 3.1, "train/bits_per_sample": 5.2}

A resumed run leaves the history of an uninterrupted one, except for the times, "time_s" and the
scalars whose names begin with "time/": lines of steps that will be computed again are dropped.
"""

import contextlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, SupportsFloat, TextIO

from tensorboardX import SummaryWriter
from tqdm import tqdm

from wavenet_jax import folders
from wavenet_jax.errors import InputError

HISTORY = "history.jsonl"
TENSORBOARD = "tensorboard"
TIMES = "time/"
"""With which the names of scalars begin that a resumed run does not repeat."""
LOG_LINE_EVERY_S = 10.0
RATE_OVER_S = 2.0

Row = dict[str, int | float]


def history(workdir: str | os.PathLike[str]) -> list[Row]:
    """Reads the history of a work directory, in the order of writing.

    Args:
      workdir: the directory that a `Reporter` wrote to.

    Returns:
      A dictionary for each line, with "step", "time_s" (seconds of training up to then) and
      the scalars by name. Empty if there is no history. A last line that a kill cut
      short is left out.

    Raises:
      InputError: if any other line has no step and time.
    """
    path = folders.absolute(workdir) / HISTORY
    try:
        # Rows end in a newline; what follows the last one was cut short.
        *lines, _ = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows = []
    for number, line in enumerate(lines, start=1):
        row = None
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
        if not isinstance(row, dict) or not {"step", "time_s"} <= row.keys():
            raise InputError(f"{path}, line {number}, is no row of a history")
        rows.append(row)
    return rows


class Reporter:
    """Reports the progress of one run; close it, or use it in a `with` statement."""

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        num_steps: int,
        samples_per_step: int = 0,
        resume_step: int = 0,
        active: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        """Opens the reports of a run that starts, or goes on, after `resume_step`.

        Args:
          workdir: directory to write to, on a disk; made when missing.
          num_steps: the step at which training ends, for the progress bar.
          samples_per_step: samples of sound that one step trains on, over all devices;
            0 leaves the rate out of the progress bar.
          resume_step: the step of the checkpoint that the run goes on from, 0 for a
            new run. Rows of later steps are dropped.
          active: whether to report at all. Of several processes, one does.
          stream: where the progress bar goes, standard error by default. What is no
            terminal gets a line now and then instead of a bar.

        Raises:
          OSError: if the directory cannot be written.
          InputError: if its history is broken.
        """
        self._active = active
        if not active:
            return
        path = pathlib.Path(workdir) / HISTORY
        path.parent.mkdir(parents=True, exist_ok=True)
        written = history(workdir)
        # A new run computes step 0 again; a resumed one starts after resume_step.
        kept = [row for row in written if 0 < resume_step >= row["step"]]
        _replace(path, "".join(_line(row) for row in kept))
        self._time_s_before = max((row["time_s"] for row in kept), default=0.0)
        self._started_s = time.monotonic()
        self._tensorboard = SummaryWriter(
            os.fspath(path.parent / TENSORBOARD),
            # TensorBoard hides events of an earlier file from this step on.
            purge_step=(resume_step + 1 if resume_step else 0) if written else None,
            flush_secs=20,
            # Without it, two runs that start in the same second share a file.
            filename_suffix=f".{time.time_ns()}",
        )
        self._rows = path.open("a", encoding="utf-8")
        stream = sys.stderr if stream is None else stream
        terminal = stream.isatty()
        self._samples_per_step = samples_per_step
        self._rate = ""
        self._rate_since = (self._started_s, resume_step)
        self._bar: tqdm[Any] = tqdm(
            total=num_steps,
            initial=resume_step,
            unit="step",
            file=stream if terminal else _Lines(stream),
            mininterval=0.2 if terminal else LOG_LINE_EVERY_S,
            dynamic_ncols=terminal,
            ascii=None if terminal else " #",
        )

    def scalars(self, step: int, values: Mapping[str, SupportsFloat]) -> None:
        """Writes scalars of a step, one line of the history.

        Args:
          step: how many training steps were made.
          values: numbers by name, such as "train/bits_per_sample".

        Raises:
          ValueError: if a name is "step" or "time_s", which every line has.
        """
        if taken := {"step", "time_s"} & values.keys():
            raise ValueError(f"a scalar cannot be named {min(taken)!r}")
        if not self._active:
            return
        time_s = self._time_s_before + time.monotonic() - self._started_s
        row: Row = {"step": int(step), "time_s": round(time_s, 3)}
        row |= {name: float(value) for name, value in values.items()}
        self._rows.write(_line(row))
        self._rows.flush()
        for name in values:
            self._tensorboard.add_scalar(name, row[name], step)

    def progress(self, step: int, values: Mapping[str, SupportsFloat] | None = None) -> None:
        """Moves the progress bar.

        Args:
          step: how many training steps were made.
          values: numbers to show beside it, for example {"bits/sample": 4.7}.
        """
        if not self._active:
            return
        shown = {name: f"{float(value):.3f}" for name, value in (values or {}).items()}
        since_s, since_step = self._rate_since
        elapsed_s = time.monotonic() - since_s
        if elapsed_s >= RATE_OVER_S:
            rate = (step - since_step) * self._samples_per_step / elapsed_s
            self._rate = f"{rate:,.0f}"
            self._rate_since = (since_s + elapsed_s, step)
        if self._samples_per_step and self._rate:
            shown["samples/s"] = self._rate
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Flushes and closes all reports; further calls do nothing."""
        if not self._active:
            return
        self._active = False
        self._bar.close()
        self._rows.close()
        self._tensorboard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Lines:
    """A text stream on which every state of a progress bar is a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        text = text.strip("\r\n")
        return self._stream.write(f"{text}\n") if text.strip() else 0

    def flush(self) -> None:
        self._stream.flush()


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"


def _replace(path: pathlib.Path, text: str) -> None:
    """Puts `text` into a file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
