"""Corpora by several processes, and by parts: the same files, reports, refusals, and no orphans."""

import concurrent.futures
import itertools
import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import noise, write

import data
from data.audio.reading import Notices
from data.builders import parallel, pipeline, shards

ROOT = pathlib.Path(__file__).parents[3]
BUILD = {"sample_rate_hz": 4000, "mono": True, "trim_db": 40.0, "f0": True, "skip_bad": True}
BUILD |= {"max_dropped_share": 0.2}
Run = Callable[..., None]


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """Recordings to resample, mix, trim and cut into pieces, one that is dropped, and a text."""
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    for i in range(8):
        sound = np.concatenate([noise(900, i), noise(2400, i) // 1000])
        write(tmp_path / "in" / f"{i}.wav", np.stack([sound, sound // 2], 1))
    write(tmp_path / "in" / "long.wav", noise(8000 * 45, 9))
    write(tmp_path / "in" / "silent.wav", np.zeros(800, np.int16))
    (tmp_path / "in" / "README").write_text("what this is")
    return tmp_path / "in"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3 items, in shards of 4 pieces."""
    monkeypatch.setattr(pipeline, "PART_ITEMS", 3)
    monkeypatch.setattr(shards, "PIECES_PER_SHARD", 4)


@pytest.fixture
def without_beam(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pipelines' tasks run here, the last first; lists the parts that are prepared."""
    prepared = []

    def run(self, name, task, elements: Sequence, written: Sequence[str]) -> None:
        if task is pipeline.prepare_part:
            prepared.extend(elements)
        for element in reversed(elements):
            task(element)
            task(element)  # a runner may repeat it
        assert all(map(os.path.exists, written))

    monkeypatch.setattr(pipeline, "_pipeline_options", lambda options: None)
    monkeypatch.setattr(pipeline.BeamWriter, "_run", run)
    return prepared


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def built(caplog: pytest.LogCaptureFixture, out: pathlib.Path, **options: object):
    """The files of a corpus, and what was reported."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="absl"):
        data.build("folder", data_dir=out, **options)
    own = [record.message for record in caplog.records if record.name == "absl"]
    return contents(out), own


def test_the_same_by_processes_and_by_parts(
    source: pathlib.Path,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    small_parts: None,
    without_beam: list[str],
) -> None:
    """To the byte, several shards, the index and the reports among it; protobuf's default gives
    the fields of a record another order in each process."""
    options = BUILD | {"source": source}
    plain, reports = built(caplog, tmp_path / "plain", **options)
    assert sum("array_record" in name for name in plain) >= 4
    assert [report.partition(" ")[0] for report in reports] == [
        *("dropped:", "dropped", "ignored,", "mixed", "resampled", "trimmed")
    ]
    assert built(caplog, tmp_path / "parts", beam_options=[], **options) == (plain, reports)
    assert len(without_beam) >= 3
    assert built(caplog, tmp_path / "two", num_workers=2, **options) == (plain, reports)


def test_the_first_bad_recording_is_refused_alike_and_parts_go_on(
    source: pathlib.Path,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    small_parts: None,
    without_beam: list[str],
) -> None:
    options = BUILD | {"source": source, "skip_bad": False}
    whole = (source / "3.wav").read_bytes()
    write(source / "silent.wav", noise(900))
    write(source / "3.wav", np.zeros((900, 2), np.int16))
    write(source / "7.wav", np.zeros((900, 2), np.int16))
    with pytest.raises(data.DataError, match=r"3\.wav is silent") as refused:
        data.build("folder", data_dir=tmp_path / "plain", **options)
    assert not (tmp_path / "plain").exists()
    with pytest.raises(data.DataError, match=f"^{re.escape(str(refused.value))}$"):
        data.build("folder", data_dir=tmp_path / "out", beam_options=[], **options)
    assert [path.name for path in (tmp_path / "out" / "folder").iterdir()] == ["parts"]
    with pytest.raises(data.DataError, match="holds no prepared corpus"):
        data.load("folder", tmp_path / "out", "train")
    count = len(set(without_beam))
    without_beam.clear()
    with pytest.raises(data.DataError, match=r"3\.wav is silent"):
        data.build("folder", data_dir=tmp_path / "out", beam_options=[], **options)
    assert 1 <= len(without_beam) < count  # only what was refused
    (source / "3.wav").write_bytes(whole)
    (source / "7.wav").write_bytes(whole)
    without_beam.clear()
    found, _ = built(caplog, tmp_path / "out", beam_options=[], **options)
    assert 1 <= len(without_beam) < count  # only what is new
    expected, _ = built(caplog, tmp_path / "plain", **options)
    assert found == expected  # the parts are gone


def test_a_part_is_done_again_when_its_recording_changed(
    source: pathlib.Path, tmp_path: pathlib.Path, small_parts: None, without_beam: list[str]
) -> None:
    options = BUILD | {"source": source, "data_dir": tmp_path / "out", "beam_options": []}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_shard", lambda copy: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            data.build("folder", **options)
    count = len(without_beam)
    changed = noise(900, 77)
    write(source / "5.wav", np.stack([changed, changed], 1))
    data.build("folder", **options)
    assert len(without_beam) == count + 1
    corpora = [data.load("folder", tmp_path / "out", split) for split in ("train", "validation")]
    (stored,) = (
        corpus.recording(corpus.names.index("5.wav"))["audio"]
        for corpus in corpora
        if "5.wav" in corpus.names
    )
    assert 400 <= len(stored) <= 450


def test_by_beam_itself(
    source: pathlib.Path,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    small_parts: None,
) -> None:
    pytest.importorskip("apache_beam", reason="Apache Beam is in the extra beam")
    options = BUILD | {"source": source}
    expected = built(caplog, tmp_path / "plain", **options)
    runner = ["runner=DirectRunner"]
    assert built(caplog, tmp_path / "beam", beam_options=runner, **options) == expected
    for wrong, message in (
        (["speed=2"], "Apache Beam has no option 'speed'"),
        (["direct_num_workers=many"], "a value that Apache Beam refuses"),
    ):
        with pytest.raises(data.DataError, match=message):
            data.build("folder", data_dir=tmp_path / "out", beam_options=wrong, **options)
    options["skip_bad"] = False
    with pytest.raises(data.DataError, match=f"^{re.escape(str(source))}/silent.wav is silent"):
        data.build("folder", data_dir=tmp_path / "out", beam_options=runner, **options)


def test_beam_that_is_not_installed_is_one_sentence(
    source: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {"apache_beam", *(name for name in sys.modules if name.startswith("apache_beam."))}:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(data.DataError, match=r"not installed: pip install '\.\[beam\]' has it"):
        data.build("folder", data_dir=tmp_path / "out", source=source, beam_options=[])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL]
)
def test_no_process_and_nothing_half_written_is_left(
    tmp_path: pathlib.Path, how: signal.Signals
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write(source / "0.wav", noise(80000))
    for i in range(1, 400):
        (source / f"{i}.wav").symlink_to(source / "0.wav")
    options = {"sample_rate_hz": 44100, "trim_db": 40.0, "num_workers": 2}
    build = (
        "import signal, sys, data\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as experiments.prepare\n"
        f"data.build('folder', data_dir={str(out)!r}, source={str(source)!r}, **{options!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", build], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while not list(out.glob("folder/incomplete.*/*record*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    begun = below(process.pid)
    assert len(begun) >= 2
    process.send_signal(how)
    assert process.wait(60) != 0
    deadline = time.monotonic() + 20
    while begun & running().keys():
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.05)
    if how != signal.SIGKILL:
        assert not out.exists()
    with pytest.raises(data.DataError, match="holds no prepared corpus"):
        data.load("folder", out, "train")


def running() -> dict[int, int]:
    """The parent of every process that has not ended."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def below(pid: int) -> set[int]:
    return {child for child, parent in running().items() if parent == pid}


@given(st.lists(st.integers(0, 9)), st.integers(2, 4))
def test_results_are_in_order_and_few_items_in_flight(items: list[int], num_workers: int) -> None:
    taken = itertools.count()

    def counted() -> Iterator[int]:
        for item in items:
            next(taken)
            yield item

    with concurrent.futures.ThreadPoolExecutor(num_workers) as pool:
        results = parallel._in_order(pool, num_workers, lambda item: item * 2, counted())
        found = []
        for i, result in enumerate(results):
            so_far = int(repr(taken)[6:-1])
            assert so_far <= i + parallel.IN_FLIGHT * num_workers
            found.append(result)
    assert found == [item * 2 for item in items]


def test_a_process_that_ended_is_one_sentence() -> None:
    class Broken(concurrent.futures.Executor):
        def submit(self, *args: object, **kwargs: object) -> concurrent.futures.Future:
            raise BrokenProcessPool

    with pytest.raises(data.DataError, match="one of 3 processes .* fewer --num_workers"):
        list(parallel._in_order(Broken(), 3, str, [1]))


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 7))
def test_shards_hold_the_records_of_all_parts_in_order(lengths: list[int], size: int) -> None:
    parts = [str(i) for i in range(len(lengths))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "PIECES_PER_SHARD", size)
        found = [
            [(part, i) for part, first, stop in sources for i in range(first, stop)]
            for sources in pipeline._sources(parts, lengths)
        ]
    every = [(part, i) for part, n in zip(parts, lengths, strict=True) for i in range(n)]
    assert list(itertools.chain(*found)) == every
    assert all(len(shard) == size for shard in found[:-1])


def test_notices_of_several_are_added_in_their_order(caplog: pytest.LogCaptureFixture) -> None:
    first, later = Notices(), Notices()
    first.add("cut", "a", 1.0)
    later.add("mixed", "b")
    later.add("cut", "c", 0.5)
    first.extend(later)
    with caplog.at_level(logging.WARNING, logger="absl"):
        first.log()
    assert [record.message for record in caplog.records] == [
        "cut: 2 recording(s), 1.5 s in all, the first a",
        "mixed: 1 recording(s), the first b",
    ]
