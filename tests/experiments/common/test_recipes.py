"""The command of a config: its flags give that config."""

import dataclasses
import importlib
import pathlib
import re
import shlex

import ml_collections
import pytest
import test_whole_model
import tiny
from absl import flags
from ml_collections import config_flags

from experiments.common import recipes, restore
from experiments.configs import schema, tts

FILES = pathlib.Path(schema.__file__).parent.glob("*.py")
PRETRAINED = pathlib.Path(schema.__file__).parents[1] / "pretrained"
NAMES = sorted({path.stem for path in FILES} - {"schema"})


def recipe(name: str) -> ml_collections.ConfigDict:
    return importlib.import_module(f"experiments.configs.{name}").get_config()


def without_voice() -> ml_collections.ConfigDict:
    """The recipe of text-to-speech without its voice: None, which no flag can say."""
    config = tts.get_config()
    config.voice = None
    return config


def begun_with_a_model(**training: float) -> ml_collections.ConfigDict:
    """The recipe of text-to-speech with a pretrained model, at these rates or those for it."""
    config = tts.get_config()
    config.pretrained = "another"
    config.training.update(training)
    return config


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_needs_no_more_flags(name: str) -> None:
    found = recipes.training_flags(schema.from_config_dict(recipe(name)))
    assert found == [f"--config=experiments/configs/{name}.py"]


def test_a_recipe_of_the_same_corpus_comes_first() -> None:
    """Though `own_voice` needs fewer flags: its steps are these."""
    config = tts.get_config()
    config.num_steps, config.checkpoint_every = 6000, 500
    found = recipes.training_flags(schema.from_config_dict(config))
    assert found[0] == "--config=experiments/configs/tts.py"
    assert len(found) == 3


@pytest.mark.parametrize(
    "config",
    [
        tiny.get_config(),
        tiny.recognizer_config(loss="ctc"),
        test_whole_model.whole_config(),
        without_voice(),
        begun_with_a_model(),
        begun_with_a_model(learning_rate=2e-3, matrix_learning_rate=1e-2),
    ],
    ids=["tiny", "recognizer", "whole", "none", "pretrained", "pretrained, the first rates"],
)
def test_the_flags_give_the_config(config: ml_collections.ConfigDict) -> None:
    experiment = schema.from_config_dict(config)
    file, *given = recipes.training_flags(experiment)
    assert described(file, given) == experiment
    assert len(given) < 40


@pytest.mark.parametrize("folder", sorted(PRETRAINED.iterdir()), ids=lambda folder: folder.name)
def test_the_command_of_a_card_gives_the_config(folder: pathlib.Path) -> None:
    """A recipe that changes after its model was published would make it another."""
    card = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    command = shlex.split(next(line for line in card if "experiments.train " in line))
    (file,) = (word for word in command if word.startswith("--config="))
    of_the_card = described(file, [word for word in command if word.startswith("--config.")])
    stored = restore.load(str(folder)).run.config
    # What the training began with has its own name for whoever repeats it.
    of_the_card = dataclasses.replace(of_the_card, pretrained=stored.pretrained)
    if stored.training.optimizer != "muon":  # which alone reads this rate
        stored = with_training(stored, matrix_learning_rate=1.0)
        of_the_card = with_training(of_the_card, matrix_learning_rate=1.0)
    assert of_the_card == stored


def described(file: str, given: list[str]) -> schema.ExperimentConfig:
    """The config of a recipe's flag and of those for its fields."""
    name = re.fullmatch(r"--config=experiments/configs/(\w+)\.py", file).group(1)
    values, command = flags.FlagValues(), ["program", *given]
    holder = config_flags.DEFINE_config_dict(
        "config", recipe(name), flag_values=values, sys_argv=command
    )
    values(command)
    return schema.from_config_dict(holder.value)


def with_training(config: schema.ExperimentConfig, **values: float) -> schema.ExperimentConfig:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **values))
