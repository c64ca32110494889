"""What a corpus is said to hold, of corpora of which it is known."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest
import soundfile

import data
from experiments.configs import fsdd, schema
from experiments.tasks import corpora
from wavenet_jax import InputError


@pytest.fixture
def data_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    """Ten recordings of a sine: class a half as loud as b, half of each silent, one clipped."""
    time_s = np.arange(8000) / 8000
    rows = ["path,label"]
    for i in range(10):
        label = "a" if i < 7 else "b"
        sine = (0.25 if label == "a" else 0.5) * np.sin(2 * np.pi * 440 * time_s)
        samples = np.rint(32768 * sine).astype(np.int16) * (time_s < 0.5)
        if i == 3:
            samples[:400] = 32767
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / f"{i}.wav", samples, 8000)
        rows.append(f"{i}.wav,{label}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    options = {"source": tmp_path / "in", "labels": str(tmp_path / "labels.csv")}
    data.build("folder", data_dir=tmp_path / "corpora", **options)
    return tmp_path / "corpora"


def test_figures_are_those_of_the_recordings(data_dir: pathlib.Path) -> None:
    figures = corpora.describe_corpus("folder", data_dir)
    parts = figures["splits"].values()
    assert sum(part["recordings"] for part in parts) == 10
    assert sum(part["hours"] for part in parts) == pytest.approx(10 / 3600)
    assert sum(part["clipped"] for part in parts) == 1
    assert figures["splits"]["train"]["seconds"] == [1.0, 1.0, 1.0]
    assert max(part["peak_db"][1] for part in parts) == pytest.approx(0, abs=0.01)
    for part in parts:
        assert part["silence"] == pytest.approx(0.5, abs=0.01)
    for label, count in (("a", 7), ("b", 3)):
        assert sum(part["labels"]["label"][label] for part in parts) == count
    assert "receptive_field" not in figures
    lines = corpora.described(figures)
    assert "folder, 8000 Hz, licence: that of the recordings" in lines
    assert "each 1.00 to 1.00 s (median 1.00)" in lines
    assert "silence: 50.0% of the time" in lines


def test_the_receptive_field_at_the_rate_of_the_corpus(data_dir: pathlib.Path) -> None:
    config = fsdd.get_config()
    config.global_condition.labels = ("label",)

    def described() -> dict[str, Any]:
        experiment = schema.from_config_dict(config)
        return corpora.describe_corpus("folder", data_dir, config=experiment)

    figures = described()
    samples = 2 * 2 * 121 + 1  # twice dilations of 1 to 81, two taps before their own; the input
    assert figures["receptive_field"]["samples"] == samples
    assert figures["receptive_field"]["milliseconds"] == pytest.approx(samples / 8)
    assert figures["receptive_field"]["share_of_median"] == pytest.approx(samples / 8000)
    assert f"receptive field: {samples} samples, {samples / 8:.0f} ms" in corpora.described(figures)
    config.global_condition.labels = ("speaker",)
    with pytest.raises(data.DataError, match="folder has no label 'speaker': it has label"):
        described()
    config.global_condition.labels = ()
    config.model.dilations = (0,)
    with pytest.raises(InputError, match="dilations"):
        described()


def test_labels_in_time_are_not_of_recordings(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("espeakng_loader", reason="made with the extra [demo]")
    data.build("espeak", data_dir=tmp_path, num_utterances=3)
    figures = corpora.describe_corpus("espeak", tmp_path)
    assert all(part["labels"].keys() == {"speaker"} for part in figures["splits"].values())


def test_questions_are_not_of_recordings(tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "q.hed").write_text('QS "C-b" {-b+}')
    for i in range(2):
        samples = np.random.default_rng(i).integers(-999, 999, 800).astype(np.int16)
        soundfile.write(tmp_path / "in" / f"{i}.wav", samples, 8000)
        (tmp_path / "in" / f"{i}.lab").write_text("0 1000000 x^a-b+c=x\n")
    questions = str(tmp_path / "q.hed")
    data.build("hts", data_dir=tmp_path, source=tmp_path / "in", questions=questions)
    figures = corpora.describe_corpus("hts", tmp_path)
    assert all(part["labels"] == {} for part in figures["splits"].values())


def test_from_the_command_line(run, data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    picture, figures = tmp_path / "examples.png", tmp_path / "figures.json"
    ended = run(
        "experiments.describe_corpus",
        "--dataset=folder",
        f"--data_dir={data_dir}",
        f"--picture={picture}",
        f"--json={figures}",
    )
    assert ended.returncode == 0, ended.stderr
    assert "train: " in ended.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads(figures.read_text())["dataset"] == "folder"
    ended = run("experiments.describe_corpus", "--dataset=fsdd", f"--data_dir={data_dir}")
    assert ended.returncode == 1
    assert "fsdd holds no prepared corpus" in ended.stderr.splitlines()[-1]
