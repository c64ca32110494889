"""Variants of the receptive field: how they differ, their figures, refusals."""

import json
import pathlib

import jax
import numpy as np
import pytest
import soundfile
import tiny
from test_configs import Corpus

import data
from experiments.common.run import Run
from experiments.configs import violin
from experiments.studies import receptive_field, variants
from wavenet_jax import InputError, training
from wavenet_jax import receptive_field as field_of

STACK = {"hop_samples": 10, "dilations": (1, 2), "channels": 4}


def music_config():
    config = tiny.get_config()
    config.segment_samples = 100
    config.global_condition.labels = ()
    config.model.context_stacks = (STACK,)
    return config


def small(layers: int) -> variants.Change:
    def change(config):
        config.model.update(dilations=tuple(2**i for i in range(layers)), context_stacks=())

    return change


def test_fields_run_from_milliseconds_to_seconds() -> None:
    """In milliseconds, and as their names say; the main stack has as many parameters in all."""
    found, sizes = {}, {}
    for name, change in receptive_field.VARIANTS.items():
        config = violin.get_config()
        change(config)
        run = Run.create(tiny.experiment(config), Corpus("folder", 8000, {}))
        found[name] = 1000 * field_of(run.wavenet) / 8000
        state = jax.eval_shape(
            lambda model=run.model: training.init_state(model, training.TrainingConfig(num_steps=1))
        )
        sizes[name] = sum(x.size for x in jax.tree.leaves(state.params))
        assert len(run.wavenet.dilations) == 12
        said, unit, *_ = name.split()
        assert found[name] == pytest.approx(float(said) * (1000 if unit == "s" else 1), rel=0.2)
    assert sorted(found.values()) == list(found.values())
    assert len({size for name, size in sizes.items() if "stack" not in name}) == 1
    unchanged = violin.get_config()
    receptive_field.VARIANTS["4 s with a context stack"](unchanged)
    assert unchanged.to_dict() == violin.get_config().to_dict()


@pytest.mark.long
def test_trains_scores_and_goes_on(fsdd_dir, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        receptive_field, "VARIANTS", {"small, dilated": small(2), "stack": lambda config: None}
    )
    folder = tmp_path / "runs"
    rows = receptive_field.compare(
        music_config(),
        num_steps=2,
        workdir=folder,
        data_dir=fsdd_dir,
        prime_s=0.05,
        generated_s=0.1,
    )
    assert json.loads(json.dumps(rows)) == rows
    assert [row["name"] for row in rows] == ["small, dilated", "stack"]
    assert rows[0]["field_ms"] == 4 / 8
    assert rows[1]["field_ms"] > rows[0]["field_ms"]
    assert rows[0]["num_samples"] == rows[1]["num_samples"]
    assert rows[0]["num_parameters"] < rows[1]["num_parameters"]
    assert all(row["train_s"] > 0 for row in rows)
    table = receptive_field.as_table(rows).splitlines()
    assert len(table) == 2 + 3
    assert table[2].endswith(f"| {rows[0]['bits_per_sample']:.3f} |")
    recording, _ = soundfile.read(folder / "recording.wav", dtype="int16")
    corpus = data.load("fsdd", fsdd_dir, "validation")
    longest = int(corpus.lengths.argmax())
    begin = (int(corpus.lengths[longest]) - 1200) // 2
    np.testing.assert_array_equal(recording, corpus.samples(longest, begin, begin + 1200))
    for name in ("small__dilated", "stack"):
        continued, _ = soundfile.read(folder / name / "sample_000.wav", dtype="int16")
        assert len(continued) == 1200
        np.testing.assert_array_equal(continued[:400], recording[:400])
    assert {path.name for path in folder.glob("*.png")} == {"bits.png", "notes.png"}
    assert not list(folder.rglob("begun.wav"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["all of it"]}, "There is no variant 'all of it': use 30 ms, "),
        ({"prime_s": 0.0}, r"--prime_s is 0.0 and --generated_s is 0.1: give lengths"),
        ({"generated_s": 99.0}, "lasts .* give a shorter --prime_s or --generated_s"),
    ],
)
def test_refusals(fsdd_dir, tmp_path: pathlib.Path, changes, message) -> None:
    options = {"names": ["30 ms"], "prime_s": 0.05, "generated_s": 0.1} | changes
    with pytest.raises(InputError, match=message):
        receptive_field.compare(
            music_config(),
            num_steps=1,
            workdir=str(tmp_path / "runs"),
            data_dir=str(fsdd_dir),
            **options,
        )
