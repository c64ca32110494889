"""The cost of fewer bits is measured in likelihood and in spectra, and a louder set is found."""

import json
import pathlib

import numpy as np
import pytest
import soundfile

import data
from experiments.common import restore
from experiments.studies import precision
from experiments.tasks import generation
from wavenet_jax import InputError

RATE_HZ = 8000


@pytest.fixture(scope="module")
def trained(trained_dir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(trained_dir)


@pytest.mark.long
def test_each_precision_is_scored_and_generates(
    trained: restore.TrainedModel, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    corpus = data.load("fsdd", fsdd_dir, "validation")
    rows = precision.precision_cost(trained, corpus, out=str(tmp_path), num_samples=4, seconds=0.1)
    assert [row["name"] for row in rows] == ["float32", "bfloat16", "int8", "float32, again"]
    exact, half, quarter = (row["bits_per_sample"] for row in rows[:3])
    assert 0 < abs(half - exact) < 0.01
    assert 0 < abs(quarter - exact) < 0.05
    for row in rows[1:]:
        assert row["distance_db"] > 0
        assert 0 < row["p"] <= 1
    assert len(list(tmp_path.glob("*/sample_*.wav"))) == 4 * 4
    table = precision.as_table(json.loads(json.dumps(rows))).splitlines()
    assert len(table) == 2 + 4
    assert table[2].startswith(f"| float32 | {exact:.4f} | +0.0000 |")


def test_sound_that_differs_is_found(
    trained: restore.TrainedModel,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Noise that is 6 dB louder with int8, and the same otherwise."""

    def noise(trained, *, out, num_samples, seed, sampling, **kwargs):
        random, paths = np.random.default_rng(seed), []
        for i in range(num_samples):
            path = pathlib.Path(out) / f"{i}.wav"
            path.parent.mkdir(exist_ok=True)
            level = 2000 if sampling.precision == "int8" else 1000
            sound = random.normal(0, level * random.uniform(0.8, 1.2), RATE_HZ // 4)
            soundfile.write(path, sound.astype(np.int16), RATE_HZ)
            paths.append(path)
        return paths

    monkeypatch.setattr(generation, "sample", noise)
    corpus = data.load("fsdd", fsdd_dir, "validation")
    rows = precision.precision_cost(trained, corpus, out=str(tmp_path), num_samples=8)
    p = {row["name"]: row.get("p") for row in rows}
    assert p["int8"] < 0.01
    assert p["bfloat16"] > 0.05
    assert p["float32, again"] > 0.05
    assert rows[2]["distance_db"] == pytest.approx(6, abs=1)


def test_refuses_a_single_recording(
    trained: restore.TrainedModel, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    corpus = data.load("fsdd", fsdd_dir, "validation")
    with pytest.raises(InputError, match="--num_samples is 1: give at least 2, to compare sets"):
        precision.precision_cost(trained, corpus, out=str(tmp_path), num_samples=1)
