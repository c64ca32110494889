"""Corpora by name: options, refusals, and disks that are full."""

import json
import pathlib
import subprocess
import sys

import pytest
from synthetic import noise, write

import data


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    for i in range(3):
        write(tmp_path / "in" / f"{i}.wav", noise(3000, i))
    return tmp_path / "in"


def test_unknown_names(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    with pytest.raises(data.DataError, match="no dataset is called 'nobody': use one of folder"):
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


def test_an_option_is_newer_than_the_corpus(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    """Which was prepared as its default says."""
    folder = data.build("folder", data_dir=tmp_path, source=source)
    metadata = json.loads((folder / "metadata.json").read_text())
    del metadata["options"]["f0"], metadata["options"]["align"]
    (folder / "metadata.json").write_text(json.dumps(metadata))
    assert data.build("folder", data_dir=tmp_path, source=source) == folder
    with pytest.raises(data.DataError, match="was prepared with f0=False, not True"):
        data.build("folder", data_dir=tmp_path, source=source, f0=True)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: pathlib.Path, source: pathlib.Path
) -> None:
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "import runpy; runpy.run_module('experiments.prepare', run_name='__main__')"
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


def test_the_package_loads_neither_tensorflow_nor_the_library() -> None:
    check = (
        "import sys, data; assert not {'flax', 'tensorflow', 'wavenet_jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", check], cwd=pathlib.Path(__file__).parents[2], check=True)
