"""Every config builds, and is the model that its figures were measured with."""

import importlib.util
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np
import pytest

from experiments.experiment import LOCAL_FEATURES, Experiment
from wavenet_jax import InputError, receptive_field, training

CONFIGS = pathlib.Path(__file__).parents[2] / "experiments" / "configs"

# File: (classes of the corpus's labels, sample rate, parameters, receptive field).
PINNED = {
    "demo": ({"phones": 23}, 8000, 276160, 511),
    "fsdd": ({"speaker": 6}, 8000, 222304, 511),
    "multispeaker": ({"speaker": 109}, 16000, 1508544, 3070),
    "music_tags": ({"tags": 50}, 16000, 2026560, 68859),
    "piano": ({}, 16000, 1712064, 68859),
    "reference": ({}, 16000, 1255808, 3070),
    "vocoder": ({}, 22050, 696512, 1023),
}


class Corpus:
    """Stands in for a prepared corpus, of which a config needs these alone."""

    def __init__(self, name: str, sample_rate_hz: int, num_classes: dict[str, int]) -> None:
        self.name, self.sample_rate_hz = name, sample_rate_hz
        self.class_names = {
            label: tuple(f"{label}{i}" for i in range(count))
            for label, count in num_classes.items()
        }
        self.several = {"tags"}
        self.lengths = np.array([60 * sample_rate_hz])


def get_config(name: str) -> ml_collections.ConfigDict:
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def test_none_is_left_out() -> None:
    files = {path.stem for path in CONFIGS.glob("*.py")} - {"__init__"}
    assert files == set(PINNED)


@pytest.mark.parametrize("name", PINNED)
def test_a_config_builds_what_it_is_pinned_to(name: str) -> None:
    num_classes, sample_rate_hz, num_parameters, field = PINNED[name]
    config = get_config(name)
    corpus: Any = Corpus(config.dataset, sample_rate_hz, num_classes)
    experiment = Experiment.create(config, corpus)
    state = jax.eval_shape(lambda: training.init_state(experiment.model, experiment.training))
    counted = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert (counted, receptive_field(experiment.model)) == (num_parameters, field)
    assert experiment.training.num_steps == config.num_steps > 0
    assert config.checkpoint_every > 0
    assert config.segment_samples % experiment.model.hop_samples == 0
    assert not config.local_condition or config.local_condition.features in LOCAL_FEATURES
    assert (experiment.mel is not None) == (name == "vocoder")


@pytest.mark.parametrize("name", PINNED)
def test_a_config_survives_its_checkpoint(name: str) -> None:
    """What sampling reads from a checkpoint is the experiment that trained."""
    import json

    num_classes, sample_rate_hz, *_ = PINNED[name]
    config = get_config(name)
    corpus: Any = Corpus(config.dataset, sample_rate_hz, num_classes)
    experiment = Experiment.create(config, corpus)
    stored = json.loads(json.dumps(experiment.to_dict()))
    again = Experiment.from_dict(stored)
    assert again.model == experiment.model
    assert again.training == experiment.training
    assert again.classes == experiment.classes
    experiment.check_continues(stored)


def test_tags_are_as_many_as_are_named() -> None:
    config = get_config("music_tags")
    corpus: Any = Corpus(config.dataset, 16000, {"tags": 50})
    experiment = Experiment.create(config, corpus)
    condition = experiment.global_condition(["tags3", "tags49"])
    assert np.flatnonzero(condition).tolist() == [3, 49]
    assert (condition.dtype, condition.shape) == (np.int32, (50,))
    with pytest.raises(InputError, match="There is no tags 'loud': use one of tags0, "):
        experiment.global_condition(["tags3", "loud"])
    config.global_condition.several = False
    with pytest.raises(InputError, match="may have several classes of tags: set .*several to True"):
        Experiment.create(config, corpus)
    speakers: Any = Corpus("vctk", 16000, {"speaker": 9, "tags": 2})
    config.global_condition.update({"several": True, "labels": ("speaker",)})
    with pytest.raises(InputError, match="may have one class of speaker: set .*several to False"):
        Experiment.create(config, speakers)
    config.global_condition.labels = ("tags", "speaker")
    with pytest.raises(InputError, match="several classes of each of 2 labels: name one label"):
        Experiment.create(config, speakers)


@pytest.mark.parametrize(
    ("features", "with_pitch"), [("linguistic", False), ("linguistic_f0", True)]
)
def test_linguistic_features_are_as_wide_as_the_model_takes(
    features: str, with_pitch: bool
) -> None:
    """L and L+F of the paper, which differ in two columns."""
    config = get_config("demo")
    config.local_condition.features = features
    corpus: Any = Corpus(config.dataset, 8000, {"phones": 23})
    experiment = Experiment.create(config, corpus)
    example = {
        "audio": np.zeros(1000, np.int16),
        "phones": np.array([0, 5]),
        "phone_starts": np.array([0, 400]),
        "phone_ends": np.array([400, 1000]),
        "word_starts": np.array([400]),
        "word_ends": np.array([1000]),
        "f0_hz": np.zeros(25, np.float32),
    }
    frames = experiment.local_features(example)
    assert frames.shape == (25, experiment.model.local_condition.size)
    assert frames.shape[1] == 5 * 23 + 12 + 4 + 2 * with_pitch
