"""Reports are read back from the files: history, TensorBoard events, progress lines."""

import io
import itertools
import json
import os
import pathlib
import struct
import time
import types

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from experiments.common import reporting
from experiments.common.reporting import Reporter


def open_reporter(workdir: pathlib.Path, *, resume_step: int = 0, active: bool = True) -> Reporter:
    return Reporter(
        workdir,
        num_steps=10,
        samples_per_step=1000,
        resume_step=resume_step,
        active=active,
        stream=io.StringIO(),
    )


def train(reporter: Reporter, first: int, last: int) -> None:
    """Stands in for a training loop: the loss of step n is 8 - n / 4 bits."""
    for step in range(first, last + 1):
        reporter.scalars(step, {"train/bits": 8 - step / 4, "lr": 1e-3})
        reporter.progress(step, {"bits/sample": 8 - step / 4})


def events(workdir: pathlib.Path) -> list[event_pb2.Event]:
    """Every event of the work directory, file by file in the order of writing."""
    found = []
    for path in sorted((workdir / "tensorboard").iterdir(), key=lambda p: p.suffix):
        data, start = path.read_bytes(), 0
        while start < len(data):
            (length,) = struct.unpack_from("<Q", data, start)
            found.append(event_pb2.Event.FromString(data[start + 12 :][:length]))
            start += length + 16
    return found


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds_a_look: int) -> None:
    """Gives the reporter a clock that goes on by this much at each look at it."""
    ticks = itertools.count(start=1000, step=seconds_a_look)
    clock = types.SimpleNamespace(monotonic=lambda: next(ticks), time_ns=time.time_ns)
    monkeypatch.setattr(reporting, "time", clock)


def without_time(rows: list[reporting.Row]) -> list[reporting.Row]:
    return [{name: row[name] for name in row if name != "time_s"} for row in rows]


def test_a_row_of_scalars_is_in_the_history_and_in_tensorboard(
    tmp_path: pathlib.Path,
) -> None:
    with open_reporter(tmp_path) as reporter:
        reporter.scalars(3, {"train/bits": np.float32(4.25), "lr": 1e-3})
        # The row is on disk as soon as it is written.
        (line,) = (tmp_path / "history.jsonl").read_text().splitlines()
        reporter.scalars(4, {"train/bits": 4.0})
    row = json.loads(line)
    assert row.keys() == {"step", "time_s", "train/bits", "lr"}
    assert (row["step"], row["train/bits"], row["lr"]) == (3, 4.25, 1e-3)
    assert 0 <= row["time_s"] < 60
    assert [row["step"] for row in reporting.history(tmp_path)] == [3, 4]
    scalars = [
        (event.step, value.tag, value.simple_value)
        for event in events(tmp_path)
        for value in event.summary.value
    ]
    assert scalars == [
        (3, "train/bits", 4.25),
        (3, "lr", pytest.approx(1e-3)),
        (4, "train/bits", 4.0),
    ]


def test_a_resumed_history_equals_an_uninterrupted_one(tmp_path: pathlib.Path) -> None:
    with open_reporter(tmp_path / "whole") as reporter:
        train(reporter, 1, 10)
    # Steps 7 and 8 were made and lost: the newest checkpoint is that of step 6.
    with open_reporter(tmp_path / "resumed") as reporter:
        train(reporter, 1, 8)
    with open_reporter(tmp_path / "resumed", resume_step=6) as reporter:
        kept = reporting.history(tmp_path / "resumed")
        assert [row["step"] for row in kept] == [1, 2, 3, 4, 5, 6]
        train(reporter, 7, 10)
    whole, resumed = (reporting.history(tmp_path / name) for name in ("whole", "resumed"))
    assert without_time(resumed) == without_time(whole)
    times_s = [row["time_s"] for row in resumed]
    assert times_s == sorted(times_s)
    sessions = [
        event.step for event in events(tmp_path / "resumed") if event.HasField("session_log")
    ]
    assert sessions == [7]


def test_time_goes_on_where_the_kept_rows_end(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, seconds_a_look=5)
    with open_reporter(tmp_path) as reporter:
        reporter.scalars(1, {"bits": 8.0})
        reporter.scalars(2, {"bits": 7.0})
    with open_reporter(tmp_path, resume_step=1) as reporter:
        reporter.scalars(2, {"bits": 7.0})
    assert [row["time_s"] for row in reporting.history(tmp_path)] == [5, 10]


def test_a_new_run_replaces_the_rows_of_an_old_one(tmp_path: pathlib.Path) -> None:
    for _ in range(2):
        with open_reporter(tmp_path) as reporter:
            reporter.scalars(0, {"bits": 8.0})
            reporter.scalars(1, {"bits": 7.0})
    assert [row["step"] for row in reporting.history(tmp_path)] == [0, 1]
    starts = [e.step for e in events(tmp_path) if e.HasField("session_log")]
    assert starts == [0]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: pathlib.Path, cut: int) -> None:
    with open_reporter(tmp_path) as reporter:
        train(reporter, 1, 3)
    path = tmp_path / "history.jsonl"
    os.truncate(path, path.stat().st_size - cut)
    assert [row["step"] for row in reporting.history(tmp_path)] == [1, 2]
    with open_reporter(tmp_path, resume_step=2) as reporter:
        train(reporter, 3, 3)
    assert [row["step"] for row in reporting.history(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("broken", ["{", "[1]", "7", '{"step": 1}', "\xff"])
def test_a_broken_line_elsewhere_is_named(tmp_path: pathlib.Path, broken: str) -> None:
    with open_reporter(tmp_path) as reporter:
        train(reporter, 1, 2)
    path = tmp_path / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(broken.encode("latin-1") + b"\n" + lines[1])
    with pytest.raises(ValueError, match="line 1, is no row of a history"):
        reporting.history(tmp_path)


def test_no_history_is_an_empty_one(tmp_path: pathlib.Path) -> None:
    assert reporting.history(tmp_path) == []


def test_progress_shows_steps_scores_and_rate(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "LOG_LINE_EVERY_S", 0.0)
    set_clock(monkeypatch, seconds_a_look=4)
    stream = io.StringIO()
    with Reporter(
        tmp_path, num_steps=10, samples_per_step=1000, resume_step=6, stream=stream
    ) as reporter:
        reporter.progress(8, {"bits/sample": 4.71828})
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    assert "8/10" in lines[-1]
    assert "bits/sample=4.718" in lines[-1]
    # Two steps of 1000 samples in four seconds.
    assert "samples/s=500" in lines[-1]


def test_an_inactive_reporter_writes_nothing(tmp_path: pathlib.Path) -> None:
    with open_reporter(tmp_path / "run", active=False) as reporter:
        train(reporter, 1, 2)
    assert not (tmp_path / "run").exists()


def test_names_that_every_row_has_are_refused(tmp_path: pathlib.Path) -> None:
    with (
        open_reporter(tmp_path) as reporter,
        pytest.raises(ValueError, match="cannot be named 'time_s'"),
    ):
        reporter.scalars(1, {"time_s": 3.0})


def test_closing_twice_is_harmless(tmp_path: pathlib.Path) -> None:
    reporter = open_reporter(tmp_path)
    reporter.close()
    reporter.close()
