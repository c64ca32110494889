"""Runs of earlier releases are restored for all that can be done with them."""

import pathlib

import numpy as np
import pytest
import soundfile

from experiments.common import compatibility, restore
from experiments.configs.schema import ExperimentConfig
from experiments.tasks import generation, recognition
from wavenet_jax import InputError
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.config import from_dict

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures"


def test_a_run_of_version_1_generates(tmp_path: pathlib.Path) -> None:
    trained = restore.load(FIXTURES / "checkpoint_v1" / "generator")
    assert trained.run.config.task == "generate"
    assert trained.run.config.global_condition.labels == ("speaker",)
    assert (trained.run.config.training.seed, trained.run.config.pre_emphasis) == (3, 0.5)
    (path,) = generation.sample(trained, out=tmp_path, seconds=0.02, labels=["low"])
    assert soundfile.info(path).frames == 160


def test_a_run_of_version_1_recognises(tmp_path: pathlib.Path) -> None:
    trained = restore.load(FIXTURES / "checkpoint_v1" / "recognizer", "best")
    assert trained.run.config.task == "recognize"
    assert trained.run.config.recognizer.decoding.prior_weight == 0.3
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 800), 4000)
    ((_, length_s, intervals),) = recognition.recognize(trained, [path])
    assert intervals[0].start == 0
    assert intervals[-1].end == length_s == 0.2


def test_a_run_of_version_1_goes_on() -> None:
    run = restore.load(FIXTURES / "checkpoint_v1" / "generator").run
    run.check_continues(run)


def test_what_a_library_user_saved_is_no_run() -> None:
    with Checkpoints(FIXTURES / "checkpoint_v2" / "generator", read_only=True) as saved:
        assert saved.restore().format_version == 2
    with pytest.raises(InputError, match="description has no bigram_lm, .*use wavenet_jax.load"):
        restore.load(FIXTURES / "checkpoint_v2" / "generator")


def test_what_was_renamed_since_version_1() -> None:
    old = {
        "dataset": "hts",
        "sample_rate_hz": 8000,
        "segment_samples": 60,
        "model": {"dilations": [1, 2]},
        "global_condition": {"labels": ["tags"], "several": True, "channels": 4},
        "local_condition": {"features": "hts", "channels": 4, "hop_samples": 20},
        "recognizer": {"folding": "none", "loss": "ctc", "decoding": {"model_weight": 2.0}},
        "augmentation": None,
        "num_steps": 5,
    }
    audio = {"sample_rate_hz": 8000, "classes": {"tags": ["a"], "questions": ["QS x", "QS y"]}}
    description = {"experiment": old, "audio": audio, "training": {"num_steps": 5, "seed": 2}}
    found = compatibility.converted(description)
    assert found["questions"] == ["QS x", "QS y"]
    assert found["audio"]["classes"] == {"tags": ["a"]}
    assert audio["classes"].keys() == {"tags", "questions"}  # what was given stays
    config = from_dict(ExperimentConfig, found["experiment"], "config")
    assert config.global_condition.multi_label
    assert (config.task, config.recognizer.loss) == ("recognize", "ctc")
    assert config.recognizer.decoding.lm_weight == 2.0
    assert (config.training.num_steps, config.training.seed) == (5, 2)
    assert config.augmentation.speeds == (1.0,)
