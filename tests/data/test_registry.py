"""Corpora by name: options, refusals, random access, and disks that are full."""

import functools
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import noise, write

import data
from data.registry import _Cache


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    for i in range(3):
        write(tmp_path / "in" / f"{i}.wav", noise(3000, i))
    return tmp_path / "in"


def test_unknown_names(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    with pytest.raises(data.DataError, match="no dataset is called 'nobody': there are folder"):
        data.load("nobody", tmp_path, "train")
    with pytest.raises(data.DataError, match="no dataset is called 'nobody'"):
        data.build("nobody", data_dir=tmp_path)
    with pytest.raises(data.DataError, match="fsdd has no option 'voices': it has source"):
        data.build("fsdd", data_dir=tmp_path, source=source, voices="en")
    with pytest.raises(data.DataError, match=r"folder holds no prepared corpus: .*prepare"):
        data.load("folder", tmp_path, "train")
    data.build("folder", data_dir=tmp_path, source=source)
    with pytest.raises(data.DataError, match="no split 'dev': it has train, validation"):
        data.load("folder", tmp_path, "dev")


def test_preparing_again(
    tmp_path: pathlib.Path, source: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = data.build("folder", data_dir=tmp_path, source=source)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert data.build("folder", data_dir=tmp_path, source=source) == folder
    assert "nothing to do" in caplog.text
    with pytest.raises(data.DataError, match="was prepared with sample_rate_hz=None, not 4000"):
        data.build("folder", data_dir=tmp_path, source=source, sample_rate_hz=4000)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: pathlib.Path, source: pathlib.Path
) -> None:
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "from experiments import cli, prepare; cli.run(prepare.main)"
    )
    flags = ["--dataset=folder", f"--source={source}", f"--data_dir={tmp_path / 'out'}"]
    root = pathlib.Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", limited, *flags],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "error: " in ended.stderr
    assert "cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        data.build("folder", data_dir=tmp_path / "file" / "out", source=source)


@given(st.data())
def test_any_stretch_of_a_recording(counted: data.Corpus, draw: st.DataObject) -> None:
    """Within a piece and across pieces: the samples count on from one recording to the next."""
    i = draw.draw(st.integers(0, len(counted) - 1))
    length = int(counted.lengths[i])
    start = draw.draw(st.integers(0, length))
    stop = draw.draw(st.integers(start, length))
    first = 1 + int(counted.lengths[:i].sum())
    expected = np.arange(first + start, first + stop)
    np.testing.assert_array_equal(counted.samples(i, start, stop), expected)


def test_a_pickled_corpus_opens_the_files_again(counted: data.Corpus) -> None:
    counted.recording(6)
    pickled = pickle.dumps(counted)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.recording(6)["audio"], counted.recording(6)["audio"])


def test_the_cache_drops_what_was_used_least_recently() -> None:
    made: list[str] = []
    cache = _Cache(limit_bytes=2000)

    def make(key: str) -> np.ndarray:
        made.append(key)
        return np.zeros(900, np.uint8)

    for key in "abacab":
        cache.get(key, functools.partial(make, key))
    assert "".join(made) == "abcb"


def test_the_package_loads_neither_tensorflow_nor_the_library() -> None:
    check = (
        "import sys, data; assert not {'flax', 'tensorflow', 'wavenet_jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", check], cwd=pathlib.Path(__file__).parents[2], check=True)
