"""The doctor: what it finds in a training before it is run."""

import json
import pathlib

import programs
import pytest
import tiny
from synthetic import noise, write

import data
from experiments.benchmarks import diagnosis
from experiments.configs import schema

CONFIG = pathlib.Path(tiny.__file__)


def folder_config(**changes) -> schema.ExperimentConfig:
    """`tiny` for the corpus "folder", without a condition."""
    options = {"dataset": "folder", "global_condition.labels": (), "batch_size": 8} | changes
    return tiny.experiment(**options)


def prepared(tmp_path: pathlib.Path, **options) -> pathlib.Path:
    data.build("folder", data_dir=tmp_path / "out", source=tmp_path / "in", **options)
    return tmp_path / "out"


def texts(figures: dict, *, faults: bool) -> str:
    return "\n".join(each.text for each in figures["findings"] if each.is_fault == faults)


def test_a_sound_training(fsdd_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config = tiny.experiment(**{"segment_samples": 600, "training.fused": "off"})
    figures = diagnosis.diagnose(config, data_dir=fsdd_dir, workdir=tmp_path / "run")
    assert figures["findings"] == []
    corpus = data.load("fsdd", fsdd_dir, "train")
    assert figures["recordings"] == len(corpus)
    assert figures["epochs"] == 120 * 8 * 600 / corpus.lengths.sum()
    assert 0 < figures["memory_bytes"] < figures["available_bytes"]
    assert figures["hours"] == pytest.approx(120 * figures["step_s"] / 3600)
    page = diagnosis.described(figures)
    assert f"{figures['parameters']:,} parameters" in page
    assert "disk: " in page
    assert not (tmp_path / "run").exists()


def test_what_is_wrong_with_a_corpus(tmp_path: pathlib.Path) -> None:
    """Clipping, silence, faint sound, and a recording in two splits."""
    loud = noise(4000, 1) // 200 * 32767
    for i in range(30):
        write(tmp_path / "in" / f"{i:02}.wav", loud.clip(-32768, 32767) if i else loud)
    figures = diagnosis.diagnose(folder_config(), data_dir=prepared(tmp_path))
    assert "recordings are clipped" in texts(figures, faults=False)
    said = texts(figures, faults=True)
    assert "recordings of validation are in the train split, such as " in said
    assert "FAULT: " in diagnosis.described(figures)


def test_faint_and_silent(tmp_path: pathlib.Path) -> None:
    for i in range(30):
        samples = noise(4000, i) // 300
        samples[:3000] = 0
        write(tmp_path / "in" / f"{i:02}.wav", samples)
    figures = diagnosis.diagnose(folder_config(), data_dir=prepared(tmp_path))
    said = texts(figures, faults=False)
    assert "% of the sound is silence" in said
    assert "half of the recordings stay below" in said
    assert not texts(figures, faults=True)


def test_what_is_wrong_with_a_config(fsdd_dir: pathlib.Path, monkeypatch) -> None:
    config = tiny.experiment(batch_size=12, segment_samples=4, num_workers=999)
    figures = diagnosis.diagnose(config)
    assert "batch_size is 12, and there are 8 devices" in texts(figures, faults=True)
    assert "step_s" not in figures
    halved = diagnosis.diagnose(tiny.experiment(**{"training.num_microbatches": 2}))
    assert "num_microbatches is 2, and a device has 1 windows" in texts(halved, faults=True)
    said = texts(figures, faults=False)
    assert "a window scores 4 samples after a context of 8" in said
    assert "num_workers is 999" in said
    monkeypatch.setattr(
        diagnosis, "_loading", lambda run, corpus: (1e-3, {"reading": 3.0, "windows": 1.0})
    )
    figures = diagnosis.diagnose(tiny.experiment(num_steps=1), data_dir=fsdd_dir)
    said = texts(figures, faults=False)
    assert "devices will wait for data: 0.0 batches/s are read" in said
    assert "75% of the readers' time goes to reading records from the disk: copy the corpus" in said
    assert "of the corpus: give more --config.num_steps" in said


def test_neither_memory_nor_disk(
    fsdd_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch
) -> None:
    few = {"memory_bytes": 2**31, "available_bytes": 2**30}
    monkeypatch.setattr(diagnosis, "_memory", lambda step_bytes: few)
    monkeypatch.setattr(diagnosis, "_disk_bytes", lambda *of: 2**60)
    figures = diagnosis.diagnose(tiny.experiment(), workdir=tmp_path / "a" / "b")
    said = texts(figures, faults=True)
    assert "a step needs 2.0 GiB, and there are 1.0" in said
    assert f"and {tmp_path} has " in said


def test_the_program(run: programs.Run, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Exit code 1 where there is a fault, 0 with notes alone."""
    file = tmp_path / "figures.json"
    flags = (f"--config={CONFIG}", f"--data_dir={fsdd_dir}")
    ended = run("experiments.doctor", *flags, f"--json={file}")
    assert ended.returncode == 0, ended.stderr
    assert "parameters, a receptive field of 1 ms; " in ended.stdout
    assert json.loads(file.read_text())["num_steps"] == 120
    ended = run("experiments.doctor", *flags, "--config.global_condition.labels=singer")
    assert ended.returncode == 1
    assert "error: " in ended.stderr
