"""Configs: what they refuse, by field, and their way to JSON and back."""

import copy
import dataclasses
import json
import math
import pickle
from typing import Any, Literal

import numpy as np
import pytest
from grid import CONFIGS

from wavenet_jax import (
    ConditionConfig,
    ConfigError,
    ContextStackConfig,
    InputError,
    LocalConditionConfig,
    WaveNetConfig,
    receptive_field,
    receptive_field_ms,
)
from wavenet_jax.config import from_dict, to_dict
from wavenet_jax.quantization import Quantizer

every_config = pytest.mark.parametrize("name", CONFIGS)


@pytest.mark.parametrize(
    ("fields", "samples"),
    [
        ({"dilations": tuple(2**i for i in range(10)) * 3}, 3070),
        ({"dilations": tuple(2**i for i in range(10))}, 1024),
        ({"dilations": (1, 2, 4), "kernel_size": 3, "input_kernel_size": 2}, 16),
        ({"dilations": (1, 2, 4), "context_stacks": (ContextStackConfig(10, (1, 2)),)}, 6 + 49),
    ],
)
def test_known_receptive_fields(fields: dict, samples: int) -> None:
    assert receptive_field(WaveNetConfig(**fields)) == samples


def test_the_receptive_field_in_milliseconds() -> None:
    config = WaveNetConfig(dilations=tuple(2**i for i in range(10)) * 3)
    assert receptive_field_ms(config, 16000) == 191.875


# -- what is refused ---


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dilations": ()}, r"The model's dilations are \(\): give at least one."),
        ({"dilations": (1, 0)}, r"The model's dilations\[1\] is 0: give at least 1."),
        ({"kernel_size": 1}, "The model's kernel_size is 1: give at least 2."),
        ({"input_kernel_size": 0}, "The model's input_kernel_size is 0: give at least 1."),
        ({"residual_channels": 0}, "The model's residual_channels is 0: give at least 1."),
        ({"gate_channels": -1}, "The model's gate_channels is -1: give at least 1."),
        ({"skip_channels": 0}, "The model's skip_channels is 0: give at least 1."),
        ({"num_classes": 1}, "The model's num_classes is 1: give an even number from 2 to 65536."),
        ({"input": "raw"}, "The model's input is 'raw': use one of one_hot, scalar."),
        (
            {"output": "student"},
            "The model's output is 'student': use one of categorical, "
            "logistic_mixture, gaussian_mixture, gaussian.",
        ),
        ({"companding": "a_law"}, "The model's companding is 'a_law': use one of mu_law, linear."),
        (
            {"num_classes": 255},
            "The model's num_classes is 255: give an even number from 2 to 65536.",
        ),
        (
            {"num_classes": 65536},
            "The model's input is 'one_hot': use 'scalar' for 65536 classes, or at most 4096.",
        ),
        (
            {"num_classes": 65536, "input": "scalar"},
            "The model's output is 'categorical': use 'logistic_mixture' for 65536 classes, or at "
            "most 4096.",
        ),
        ({"num_components": 0}, "The model's num_components is 0: give at least 1."),
        (
            {"dropout": 1.0},
            "The model's dropout is 1.0: give a number from 0 up to, not including, 1.",
        ),
        (
            {"context_stacks": (ContextStackConfig(4, (1,)), ContextStackConfig(6, (1,)))},
            r"The model's context_stacks\[1\]\.hop_samples is 6: give a multiple of the "
            "shortest, 4.",
        ),
        (
            {"block": "relu"},
            r"The model's block is 'relu': use one of gated, fftnet, or add it to layers.BLOCKS.",
        ),
        (
            {"block": "fftnet", "kernel_size": 3},
            "The model's kernel_size is 3: give 2 with blocks of the kind 'fftnet'.",
        ),
        (
            {"block": "fftnet", "context_stacks": (ContextStackConfig(4, (1,), kernel_size=4),)},
            r"The model's context_stacks\[0\]\.kernel_size is 4: give 2 with blocks of the "
            "kind 'fftnet'.",
        ),
        ({"head_channels": -1}, "The model's head_channels is -1: give at least 0."),
        ({"kernel_size": "x"}, "The model's kernel_size is 'x': give a whole number."),
        ({"kernel_size": 2.5}, r"The model's kernel_size is 2.5: give a whole number."),
        ({"kernel_size": True}, "The model's kernel_size is True: give a whole number."),
        ({"dilations": 3}, "The model's dilations is 3: give a list of values."),
        ({"dilations": (1, "2")}, r"The model's dilations\[1\] is '2': give a whole number."),
        ({"dropout": "0.1"}, "The model's dropout is '0.1': give a number."),
        ({"dropout": math.nan}, "The model's dropout is nan: give a number from 0 up to, not .*"),
        ({"rematerialize": 1}, "The model's rematerialize is 1: give true or false."),
        ({"block": None}, "The model's block is None: give a string."),
        ({"input": 3}, "The model's input is 3: use one of one_hot, scalar."),
        (
            {"global_condition": {"kind": "labels", "size": 3}},
            "The model's global_condition is .*: give a ConditionConfig.",
        ),
        (
            {"context_stacks": (3,)},
            r"The model's context_stacks\[0\] is 3: give a ContextStackConfig.",
        ),
        ({"dtype": "float16"}, "The model's dtype is 'float16': use one of float32, bfloat16."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_model_configs(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        WaveNetConfig(**({"dilations": (1,)} | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "words"}, "A condition's kind is 'words': use one of labels, tags, vectors."),
        ({"size": 0}, "A condition's size is 0: give at least 1."),
        ({"channels": 0}, "A condition's channels is 0: give at least 1."),
    ],
)
def test_bad_condition_configs(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        ConditionConfig(**({"kind": "labels", "size": 3} | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hop_samples": 0}, "A condition's hop_samples is 0: give at least 1."),
        (
            {"upsampling": "cubic"},
            "A condition's upsampling is 'cubic': use one of repeat, linear, transposed.",
        ),
        (
            {"hop_samples": 12, "upsampling": "transposed", "factors": (3, 3)},
            r"A condition's factors are \(3, 3\): give factors whose product is the hop, 12.",
        ),
        (
            {"hop_samples": 12, "upsampling": "transposed"},
            r"A condition's factors are \(\): give factors whose product is the hop, 12.",
        ),
        (
            {"hop_samples": 12, "factors": (3, 4)},
            r"A condition's factors are \(3, 4\): leave them out for 'repeat' upsampling, or use "
            "'transposed'.",
        ),
    ],
)
def test_bad_local_condition_configs(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        LocalConditionConfig(**({"kind": "labels", "size": 3} | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hop_samples": 1}, "A context stack's hop_samples is 1: give at least 2."),
        ({"kernel_size": 1}, "A context stack's kernel_size is 1: give at least 2."),
        ({"channels": 0}, "A context stack's channels is 0: give at least 1."),
        (
            {"dilations": ()},
            r"A context stack's dilations are \(\): give at least one.",
        ),
        ({"input": "mean"}, "A context stack's input is 'mean': use one of strided, pooled."),
    ],
)
def test_bad_context_stacks(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        ContextStackConfig(**({"hop_samples": 8, "dilations": (1, 2)} | fields))


def test_an_error_names_its_parts() -> None:
    """So that a program can name its own flag instead."""
    with pytest.raises(ConfigError) as caught:
        WaveNetConfig(dilations=(1, 0))
    error = caught.value
    parts = (error.owner, error.field, error.value, error.remedy)
    assert parts == ("The model", "dilations[1]", 0, "give at least 1")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.field) == (str(error), error.field)
    with pytest.raises(ConfigError) as caught:
        Quantizer(255)
    assert caught.value.field == "num_classes"


def test_values_of_a_neighbouring_type_are_converted() -> None:
    """Lists to tuples, numpy's numbers to Python's: equal configs are equal and hash alike."""
    config = WaveNetConfig(
        dilations=[np.int64(1), 2],  # type: ignore[list-item]
        dropout=np.float32(0.5),  # type: ignore[arg-type]
        context_stacks=[ContextStackConfig(4, (1,))],  # type: ignore[arg-type]
    )
    other = WaveNetConfig((1, 2), dropout=0.5, context_stacks=(ContextStackConfig(4, (1,)),))
    assert config == other
    assert hash(config) == hash(other)
    assert type(config.dilations[0]) is int
    assert type(WaveNetConfig((1,), dropout=0).dropout) is float


# -- JSON ---


@every_config
def test_a_config_survives_json(name: str) -> None:
    stored = json.loads(json.dumps(to_dict(CONFIGS[name])))
    assert from_dict(WaveNetConfig, stored, "model") == CONFIGS[name]


@dataclasses.dataclass(frozen=True)
class Inner:
    """A config without checks of its own."""

    size: int
    rate: float = 1.0


@dataclasses.dataclass(frozen=True)
class Outer:
    """A config of every annotation."""

    inner: Inner
    name: str
    maybe: Inner | None
    several: tuple[Inner, ...]
    pair: tuple[int, str]
    nested: tuple[tuple[int, ...], ...]
    classes: dict[str, tuple[str, ...]]
    kind: Literal["a", "b"]
    anything: Any
    optional: float | None = None
    flag: bool = False
    factory: tuple[int, ...] = dataclasses.field(default_factory=lambda: (1,))


OUTER = Outer(
    inner=Inner(1, 0.1),
    name="x",
    maybe=None,
    several=(Inner(1), Inner(2, 3e-300)),
    pair=(1, "b"),
    nested=((1,), ()),
    classes={"phones": ("a", "b"), "none": ()},
    kind="b",
    anything={"of": [1, None, "JSON"]},
)


def test_every_annotation_survives_json() -> None:
    for config in (OUTER, dataclasses.replace(OUTER, maybe=Inner(3), optional=0.1, flag=True)):
        stored = json.loads(json.dumps(to_dict(config)))
        assert set(stored) == {field.name for field in dataclasses.fields(Outer)}
        assert from_dict(Outer, stored, "run") == config


def changed(path: tuple, value: Any) -> dict:
    """OUTER in JSON, with another value at a path."""
    fields = place = copy.deepcopy(to_dict(OUTER))
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return fields


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("layers",), 3, "The run has no field 'layers': use anything, classes, factory, "),
        (("inner", "depth"), 3, "The run's inner has no field 'depth': use rate, size."),
        (("inner",), {"rate": 1.0}, "The run's inner lacks the field 'size': give it a value."),
        (("inner",), 3, "The run's inner is 3: give a Inner."),
        (("inner", "size"), 1.5, "The run's inner's size is 1.5: give a whole number."),
        (("several", 1, "rate"), "x", r"The run's several\[1\]'s rate is 'x': give a number."),
        (("pair",), [1], r"The run's pair is \[1\]: give a list of 2 values."),
        (("nested", 0, 0), None, r"The run's nested\[0\]\[0\] is None: give a whole number."),
        (("classes",), [], r"The run's classes is \[\]: give a value for each of some names."),
        (("classes", "phones"), "ab", "The run's classes.phones is 'ab': give a list of values."),
        (("kind",), "c", "The run's kind is 'c': use one of a, b."),
        (("name",), 3, "The run's name is 3: give a string."),
        (("optional",), True, "The run's optional is True: give a number."),
        (("flag",), "yes", "The run's flag is 'yes': give true or false."),
    ],
)
def test_json_of_another_shape_is_refused_by_name(path: tuple, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        from_dict(Outer, changed(path, value), "run")


def test_json_that_is_no_object_is_refused() -> None:
    with pytest.raises(InputError, match="^The run is 3: give a value for each of its fields.$"):
        from_dict(Outer, 3, "run")  # type: ignore[arg-type]


def test_a_value_s_own_checks_apply_to_json() -> None:
    stored = to_dict(CONFIGS["all"])
    stored["local_condition"]["size"] = 0
    with pytest.raises(ConfigError, match="^A condition's size is 0: give at least 1.$"):
        from_dict(WaveNetConfig, stored, "model")
