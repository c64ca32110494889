"""The program that builds corpora: what it prints, and how it ends on bad input."""

import pathlib

import numpy as np
import pytest
import soundfile
from absl import flags

import data
from experiments import prepare as program
from experiments.tasks.corpora import prepare

PREPARE = "experiments.prepare"


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(4):
        samples = np.random.default_rng(i).integers(-999, 999, 8000).astype(np.int16)
        soundfile.write(folder / f"{i}.wav", samples, 8000)
    return folder


def test_the_summary(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    summary = prepare("folder", data_dir=tmp_path / "out", source=source).splitlines()
    assert summary[0] == f"folder in {tmp_path / 'out' / 'folder' / '1.0.0'}"
    assert any(line.startswith("  train: ") and line.endswith("at 8000 Hz") for line in summary)
    assert summary[-1] == "  licence: that of the recordings"
    counts = [int(line.split(": ")[1].split()[0]) for line in summary[1:-1]]
    assert sum(counts) == 4


def test_from_the_command_line(run, source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    ended = run(PREPARE, "--dataset=folder", f"--source={source}", f"--data_dir={tmp_path / 'out'}")
    assert ended.returncode == 0, ended.stderr
    assert "validation: 1 recordings" in ended.stdout
    assert len(data.load("folder", tmp_path / "out", "validation")) == 1


def test_bad_input_is_one_line_and_exit_code_one(
    run, source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    cut = source / "3.wav"
    cut.write_bytes(cut.read_bytes()[:5000])
    ended = run(PREPARE, "--dataset=folder", f"--source={source}", f"--data_dir={tmp_path / 'out'}")
    assert ended.returncode == 1
    error = ended.stderr.splitlines()[-1]
    assert error.startswith(f"error: {cut} is truncated")
    assert error.endswith("; replace it, or leave it out, or drop such recordings with --skip_bad")
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_options_reach_the_builder(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(data.DataError, match="lies in no sub-folder"):
        prepare("folder", data_dir=tmp_path / "out", source=source, labels="folders")
    prepare("folder", data_dir=tmp_path / "out", source=source, sample_rate_hz=4000)
    assert data.load("folder", tmp_path / "out", "train").sample_rate_hz == 4000


def test_there_is_a_flag_for_every_option() -> None:
    assert set(program.OPTION_FLAGS) <= set(flags.FLAGS)
