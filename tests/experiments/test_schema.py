"""Every field of the schema is a flag of every recipe, and a bad value is refused by its flag."""

import copy
import dataclasses
import importlib
import inspect
import json
import pathlib
import typing
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from absl import flags
from ml_collections import ConfigDict, config_flags

from experiments.configs import schema
from wavenet_jax import InputError
from wavenet_jax.config import from_dict, to_dict
from wavenet_jax.recognition import decoding

CONFIGS = pathlib.Path(__file__).parents[2] / "experiments" / "configs"
RECIPES = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "schema")

# What a flag is given where the field has this type, and where not any value of it will do.
TEXTS = {int: "3", float: "0.25", bool: "true", str: "other", tuple: "2,3"}
SPECIAL = {
    "model.num_classes": "16",
    "model.kernel_size": "4",
    "model.companding": "linear",
    "model.input": "scalar",
    "model.output": "gaussian",
    "model.dtype": "bfloat16",
    "model.block": "gated",
    "model.context_stacks": "({'hop_samples': 8, 'dilations': (1, 2), 'channels': 5},)",
    "task": "recognize",
    "best_score": "bits_per_sample",
    "global_condition.labels": "one,two",
    "local_condition.upsampling": "linear",
    "noise_shaping_of": "frames",
    "recognizer.kernel_size": "7",
    "recognizer.loss": "ctc",
    "augmentation.speeds": "0.9,1.1",
    "training.optimizer": "nadam",
    "training.decay": "linear",
    "training.fused": "off",
    "training.generation_weight": "0.5",
}


def leaves(cls: type, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and type of each field of a dataclass and of those within it."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        inner = f"{path}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            yield from leaves(hints[field.name], f"{inner}.")
        else:
            yield inner, hints[field.name]


def flag_texts() -> dict[str, str]:
    """A value for the flag of each field."""
    found = {}
    for path, annotation in leaves(schema.ExperimentConfig):
        if path in ("model.global_condition", "model.local_condition"):
            continue  # decided by the corpus and the sections of these names
        options = [each for each in typing.get_args(annotation) if each is not type(None)]
        kind = annotation
        if type(None) in typing.get_args(annotation):
            kind = options[0]
        kind = str if typing.get_origin(kind) is Literal else typing.get_origin(kind) or kind
        found[path] = SPECIAL.get(path, TEXTS[kind])
    return found


def recipe(name: str) -> ConfigDict:
    return importlib.import_module(f"experiments.configs.{name}").get_config()


def parsed(config: ConfigDict, *arguments: str) -> ConfigDict:
    """A config after flags `--config.KEY=VALUE`."""
    values = flags.FlagValues()
    command = ["program", *arguments]
    holder = config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=command)
    values(command)
    return holder.value


NOT_OF_A_STUDENT = (
    "training.input_noise",
    "training.input_gain_db",
    "training.input_gaps",
    "training.scheduled_sampling",
    "best_score",
)


def value_at(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config


@pytest.mark.parametrize("name", RECIPES)
def test_every_field_is_a_flag_of_every_recipe(name: str) -> None:
    before = schema.from_config_dict(recipe(name))
    for path, text in flag_texts().items():
        flag = schema.flag_of(path)
        arguments = [f"{flag}={text}"]
        if path == "best_score" and name == "espeak_phones":
            arguments.append("--config.training.generation_weight=1.0")
        if path == "model.kernel_size" and name == "fsdd_fftnet":  # whose blocks have two taps
            arguments.append("--config.model.block=gated")
        if path in NOT_OF_A_STUDENT and name == "student":
            arguments.append("--config.task=generate")
        after = schema.from_config_dict(parsed(recipe(name), *arguments))
        value = value_at(after, path)
        assert str(value).lower() == text or value != value_at(before, path), flag


def test_flags_have_the_values_that_they_are_given() -> None:
    arguments = [f"{schema.flag_of(path)}={text}" for path, text in flag_texts().items()]
    arguments += ["--config.dataset=fsdd"]
    config = to_dict(schema.from_config_dict(parsed(recipe("fsdd"), *arguments)))
    assert config["training"]["num_steps"] == config["training"]["seed"] == 3
    assert config["model"]["dilations"] == [2, 3]
    (stack,) = config["model"]["context_stacks"]
    assert (stack["hop_samples"], stack["dilations"], stack["channels"]) == (8, [1, 2], 5)
    assert stack["kernel_size"] == 2  # by default
    assert config["global_condition"]["labels"] == ["one", "two"]
    assert config["augmentation"]["speeds"] == [0.9, 1.1]
    assert config["local_condition"]["num_mels"] == 3
    assert config["pretrained"] == "other"
    assert config["recognizer"]["decoding"]["lm_weight"] == 0.25


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_fewer_steps_for_a_pretrained_model(name: str) -> None:
    """And no higher learning rate; all else is the same."""
    plain, tuned = (
        schema.from_config_dict(parsed(recipe(name), *arguments))
        for arguments in ([], ["--config.pretrained=other"])
    )
    assert tuned.training.num_steps < plain.training.num_steps
    rates = ("learning_rate", "matrix_learning_rate")
    assert all(getattr(tuned.training, x) <= getattr(plain.training, x) for x in rates)
    changed = {x: getattr(plain.training, x) for x in ("num_steps", *rates)}
    training = dataclasses.replace(tuned.training, **changed)
    assert dataclasses.replace(tuned, pretrained=None, training=training) == plain


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_given_holds_for_a_pretrained_model_too(order: int) -> None:
    arguments = ["--config.pretrained=other", "--config.num_steps=9"][::order]
    config = parsed(recipe("fsdd"), *arguments)
    assert config.num_steps == 9
    assert config.training.learning_rate == 2e-3
    config.training.learning_rate = 0.5
    assert schema.from_config_dict(config).training.learning_rate == 0.5


def test_a_copy_of_a_recipe_has_a_pretrained_model_of_its_own() -> None:
    config = recipe("fsdd")
    other = copy.deepcopy(config)
    other.pretrained = "other"
    assert (config.num_steps, other.num_steps) == (8000, 1600)
    other.pretrained = None
    assert other.num_steps == 8000


def test_a_config_is_stored_and_read_by_one_pair_of_functions() -> None:
    for name in RECIPES:
        config = schema.from_config_dict(recipe(name))
        stored = json.loads(json.dumps(to_dict(config)))
        assert from_dict(schema.ExperimentConfig, stored, "config") == config


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.model.dropout=2", "--config.model.dropout is 2.0: give a number from 0"),
        ("--config.model.output=x", "--config.model.output is 'x': use one of categorical"),
        ("--config.model.dilations=1,0", r"--config.model.dilations\[1\] is 0: give at least 1"),
        ("--config.model.dilations=()", r"--config.model.dilations is \(\): give at least one"),
        ("--config.model.dilations=1.5", r"--config.model.dilations\[0\] is 1.5: give a whole"),
        ("--config.model.block=x", "--config.model.block is 'x': use one of gated"),
        (
            "--config.model.context_stacks=({'hop_samples': 1, 'dilations': (1,)},)",
            r"--config.model.context_stacks\[0\].hop_samples is 1: give at least 2",
        ),
        (
            "--config.model.context_stacks=5",
            r"--config.model.context_stacks\[0\] is 5: give a dict",
        ),
        ("--config.batch_size=0", "--config.batch_size is 0: give at least 1"),
        ("--config.num_steps=0", "--config.num_steps is 0: give at least 1"),
        ("--config.seed=-1", "--config.seed is -1: give"),
        ("--config.training.clip_norm=0", "--config.training.clip_norm is 0.0: give a number"),
        ("--config.prosody.dropout=2", "--config.prosody.dropout is 2.0: give a number from 0"),
        ("--config.augmentation.gain_db=-1", "--config.augmentation.gain_db is -1.0: give 0"),
        ("--config.task=sing", "--config.task is 'sing': use one of generate, recognize"),
        ("--config.best_score=phone_error_rate", "--config.best_score is 'phone_error_rate': use"),
    ],
)
def test_a_bad_value_is_refused_by_its_flag(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        schema.from_config_dict(parsed(recipe("fsdd"), argument))


def test_what_no_flag_gives_is_refused_too() -> None:
    config = recipe("fsdd")
    config.dataset = None
    with pytest.raises(InputError, match=r"^--config.dataset is None: give a string"):
        schema.from_config_dict(config)
    with pytest.raises(InputError, match=r"^--config.model.dilations is None: give a list"):
        schema.from_config_dict(schema.default())
    config = recipe("fsdd")
    with config.unlocked():
        config.global_condition = None
    with pytest.raises(InputError, match=r"--config.global_condition is None: keep the section"):
        schema.from_config_dict(config)
    config = recipe("fsdd")
    with config.unlocked():
        config.model.layers = 3
    with pytest.raises(InputError, match=r"The config's model has no field 'layers'"):
        schema.from_config_dict(config)
    with pytest.raises(
        InputError, match=r"has no field augmentation: let get_config\(\) start from"
    ):
        schema.from_config_dict(ConfigDict({"dataset": "fsdd", "task": "generate"}))
    config = recipe("fsdd")
    with config.unlocked():
        del config.model.block
    with pytest.raises(InputError, match=r"has no field model.block: let get_config\(\) start"):
        schema.from_config_dict(config)
    with pytest.raises(AttributeError, match="layers"):
        recipe("fsdd").model.layers = 3


def test_a_recipe_has_the_fields_of_the_schema_and_no_others() -> None:
    def names(config: ConfigDict, path: str = "") -> Iterator[str]:
        for name, value in config.items():
            inner = f"{path}{name}"
            yield from names(value, f"{inner}.") if isinstance(value, ConfigDict) else [inner]

    wanted = {schema.flag_of(path).removeprefix("--config.") for path in flag_texts()}
    for name in RECIPES:
        assert set(names(recipe(name))) == wanted


@pytest.mark.parametrize(
    ("task", "generation_weight", "best_score", "scores"),
    [
        ("generate", 1.0, None, ("bits_per_sample",)),
        ("recognize", 1.0, None, ("phone_error_rate", "bits_per_sample")),
        ("recognize", 1.0, "bits_per_sample", ("bits_per_sample", "phone_error_rate")),
        ("recognize", 0.0, None, ("phone_error_rate",)),
    ],
)
def test_which_score_makes_the_best_checkpoint(task, generation_weight, best_score, scores) -> None:
    config = recipe("fsdd")
    config.task, config.training.generation_weight = task, generation_weight
    config.best_score = best_score
    assert schema.from_config_dict(config).scores == scores


def test_the_weights_of_decoding_are_those_of_the_decoders() -> None:
    parameters = inspect.signature(decoding.viterbi).parameters
    for field in dataclasses.fields(schema.Decoding):
        assert parameters[field.name].default == field.default
