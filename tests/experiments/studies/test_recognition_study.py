"""The study of recognizers: every variant is what its name says, beside a baseline."""

import json

import numpy as np
import pytest
import tiny

import data
from experiments.common.run import Run
from experiments.metrics import phone_errors
from experiments.studies import recognition, recognition_baseline
from wavenet_jax import InputError


@pytest.mark.long
def test_variants_are_what_they_are_called(spoken_dir, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(recognition_baseline, "HIDDEN", (32,))
    monkeypatch.setattr(recognition, "NUM_BASELINES", 2)
    monkeypatch.setattr(phone_errors, "GRID", dict.fromkeys(phone_errors.GRID, (1.0,)))
    config = tiny.recognizer_config()
    config.augmentation.gain_db = 3.0
    names = ["generator", "from a generator", "a quarter of the speech"]
    options = {"num_steps": 1, "workdir": str(tmp_path), "data_dir": str(spoken_dir)}
    rows = recognition.study(config, names, **options)
    assert [row["name"] for row in rows] == ["baseline 0", "baseline 1", *names[1:]]
    assert rows[0]["minutes"] == rows[1]["minutes"] == rows[2]["minutes"]
    assert rows[3]["minutes"] == pytest.approx(rows[0]["minutes"] / 4, rel=0.2)
    for row in rows:
        assert set(row["decoders"]) == {"viterbi", "greedy"}
    assert rows[0]["decoders"]["viterbi"]["phone_error_rate"] < 0.6
    assert (tmp_path / "minutes.png").stat().st_size > 0
    json.dumps(rows)
    # One that begins from nothing anyway has no variant that does.
    for name in ("best", "from nothing"):
        with pytest.raises(InputError, match=f"There is no variant '{name}': use frame loss, "):
            recognition.study(config, [name], **options)


def test_changes() -> None:
    changes = recognition.variants_of("w", 100)
    found = {}
    for name, change in changes.items():
        config = tiny.recognizer_config()
        config.augmentation.gain_db = 3.0
        config.pretrained = "another"
        change(config)
        found[name] = (
            config.task == "recognize",
            config.augmentation.gain_db > 0,
            config.training.generation_weight,
            config.train_recordings,
            config.pretrained,
        )
    assert found == {
        "frame loss": (True, False, 0.0, None, "another"),
        "both losses": (True, False, 1.0, None, "another"),
        "frame loss and augmentation": (True, True, 0.0, None, "another"),
        "both losses and augmentation": (True, True, 1.0, None, "another"),
        "half the speech": (True, True, 0.0, 50, "another"),
        "a quarter of the speech": (True, True, 0.0, 25, "another"),
        "from nothing": (True, True, 0.0, None, None),
        "generator": (False, False, 1.0, None, None),
        "from a generator": (True, True, 0.0, None, "w/generator"),
    }


def test_cepstra_of_a_frame_are_of_its_own_sound(spoken_dir) -> None:
    """A click changes the frames around it, and no others."""
    config = tiny.experiment(tiny.recognizer_config())
    run = Run.create(config, data.load("espeak", spoken_dir, "train"))
    quiet = np.random.default_rng(0).normal(0, 10, 4010).astype(np.int16)
    loud = quiet.copy()
    loud[2020] = 30000  # in frame 50, of 40 samples
    features = [recognition_baseline.features(run, each) for each in (quiet, loud)]
    assert features[0].shape == (101, 39 * 11)
    own = slice(39 * 5, 39 * 5 + 13)
    changed = np.abs(features[1][:, own] - features[0][:, own]).max(axis=1)
    assert changed.argmax() in (49, 50, 51)
    assert changed[[30, 70]].max() < 0.3 * changed[50]
