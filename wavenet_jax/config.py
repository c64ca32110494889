"""Configurations: the fields of the model, their checks, and JSON.

A config is a frozen dataclass. Its `__post_init__` calls `check_types`, which compares every
field with its annotation, and then the other checks that its fields need; each raises a
`ConfigError` with the field's name. `to_dict` and `from_dict` convert any config to JSON and back.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np

from wavenet_jax import distributions, layers
from wavenet_jax.errors import ConfigError, InputError
from wavenet_jax.quantization import Quantizer

MAX_ONE_HOT_CLASSES = 4096
"""12 bits: beyond these, a one-hot input or a categorical output is one large table."""

MAX_LAYERS = 1000
"""Of a model."""

MAX_CHANNELS = 2**20
"""Of a layer, or of a condition."""

MAX_RECEPTIVE_FIELD = 2**22
"""In samples, 4 minutes at 16 kHz: what generation keeps of each grows with it."""

Config = TypeVar("Config")


# -- the model ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ConditionConfig:
    """A condition (section 2.5); by itself, one of a whole recording.

    Attributes:
      kind: "labels" (integers in [0, size), or -1 for none), "tags" (integers 0 and
        1, `size` of them, any number being 1) or "vectors".
      size: the number of classes or tags, or D, the width of the vectors.
      channels: C, width of the embedding that all layers share.
    """

    kind: Literal["labels", "tags", "vectors"]
    size: int
    channels: int = 32

    def __post_init__(self):
        check_types(self, "A condition")
        check_min(self, "A condition", size=1, channels=1)
        check_max(self, "A condition", size=MAX_CHANNELS, channels=MAX_CHANNELS)


@dataclasses.dataclass(frozen=True)
class LocalConditionConfig(ConditionConfig):
    """A condition along a recording, a frame every `hop_samples`.

    Attributes:
      hop_samples: H, samples of a frame.
      upsampling: from frames to samples, "repeat", "linear" or "transposed".
      factors: of the transposed convolutions, first to last; their product is
        the hop. Empty for the other kinds of upsampling.
    """

    hop_samples: int = 1
    upsampling: Literal["repeat", "linear", "transposed"] = "repeat"
    factors: tuple[int, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        check_min(self, "A condition", hop_samples=1, factors=1)
        check_max(self, "A condition", hop_samples=MAX_RECEPTIVE_FIELD)
        if self.upsampling == "transposed":
            if not self.factors or math.prod(self.factors) != self.hop_samples:
                remedy = f"give factors whose product is the hop, {self.hop_samples}"
                raise ConfigError("A condition", "factors", self.factors, remedy)
        elif self.factors:
            remedy = f"leave them out for {self.upsampling!r} upsampling, or use 'transposed'"
            raise ConfigError("A condition", "factors", self.factors, remedy)

    @property
    def context_frames(self) -> int:
        """Frames beyond its own, on either side, that a sample depends on at most."""
        if self.upsampling == "linear":
            return 1
        frames = 0
        for factor in reversed(self.factors):
            frames = -(-frames // factor) + 1
        return frames


@dataclasses.dataclass(frozen=True)
class ContextStackConfig:
    """A context stack (section 2.6).

    Attributes:
      hop_samples: H, samples of a frame, at least 2.
      dilations: of each layer, in frames.
      kernel_size: taps of the dilated convolutions, at least 2.
      residual_channels: R, width of the residual stream.
      gate_channels: G, width of a gate's output.
      channels: C, width of the output, which conditions the main stack.
      input: how the samples of a frame enter: "strided", a convolution of their values
        with kernel and stride H, or "pooled", the mean of each sample's embedding
        (of its code or value, as in the main stack) after a ReLU.
    """

    hop_samples: int
    dilations: tuple[int, ...]
    kernel_size: int = 2
    residual_channels: int = 32
    gate_channels: int = 32
    channels: int = 32
    input: Literal["strided", "pooled"] = "strided"

    def __post_init__(self):
        owner = "A context stack"
        check_types(self, owner)
        check_not_empty(self, owner, "dilations")
        check_min(self, owner, hop_samples=2, dilations=1, kernel_size=2)
        channels = ("residual_channels", "gate_channels", "channels")
        check_min(self, owner, **dict.fromkeys(channels, 1))
        check_max(self, owner, **dict.fromkeys(channels, MAX_CHANNELS))

    @property
    def left_context(self) -> int:
        """Frames before its own that an output depends on."""
        return (self.kernel_size - 1) * sum(self.dilations)


@dataclasses.dataclass(frozen=True)
class WaveNetConfig:
    """The model. The library reads nothing else of it.

    Attributes:
      dilations: of each layer, in samples.
      kernel_size: taps of the dilated convolutions, at least 2.
      input_kernel_size: taps of the causal convolution at the input. With 1
        the input is causal by the shift alone.
      residual_channels: R, width of the residual stream.
      gate_channels: G, width of a gate's output; the layer computes 2G.
      skip_channels: S, width of the summed skip connections.
      head_channels: width between the two 1x1 convolutions at the end; 0 for the second alone.
      num_classes: K, codes a sample may have, 256 in the paper; 65,536 are 16 bits.
      companding: how codes are spaced, "mu_law" (section 2.2) or "linear".
      input: how an earlier sample enters: "one_hot" of its code (the paper), or
        "scalar", its value in [-1, 1).
      output: the distribution of a sample: "categorical" (the paper),
        "logistic_mixture", "gaussian_mixture" or "gaussian".
      num_components: M, of a mixture.
      dtype: of the computation in the layers; parameters and outputs are float32.
      dropout: share of the gated activations that training drops, against overfitting.
      rematerialize: whether the gradient recomputes the activations of each layer
        instead of storing them: less memory for longer windows, a third more work.
        (No effect on a CPU, where XLA merges the two computations.)
      block: the block of every layer, a key of `layers.BLOCKS`: "gated" (the paper), or "fftnet"
        (Jin et al., 2018), of which one layer reads another alone: no residual, one skip.
      global_condition: of a whole recording, or None.
      local_condition: along a recording, or None.
      context_stacks: with a longer left context at a lower rate (section 2.6). Each hop
        is a multiple of the shortest.
    """

    dilations: tuple[int, ...]
    kernel_size: int = 2
    input_kernel_size: int = 1
    residual_channels: int = 64
    gate_channels: int = 64
    skip_channels: int = 256
    head_channels: int = 256
    num_classes: int = 256
    companding: Literal["mu_law", "linear"] = "mu_law"
    input: Literal["one_hot", "scalar"] = "one_hot"
    output: Literal["categorical", "logistic_mixture", "gaussian_mixture", "gaussian"] = (
        "categorical"
    )
    num_components: int = 10
    dtype: Literal["float32", "bfloat16"] = "float32"
    dropout: float = 0.0
    rematerialize: bool = False
    block: str = "gated"
    global_condition: ConditionConfig | None = None
    local_condition: LocalConditionConfig | None = None
    context_stacks: tuple[ContextStackConfig, ...] = ()

    def __post_init__(self):
        owner = "The model"
        check_types(self, owner)
        check_not_empty(self, owner, "dilations")
        check_min(self, owner, dilations=1, kernel_size=2, input_kernel_size=1, num_components=1)
        channels = ("residual_channels", "gate_channels", "skip_channels")
        check_min(self, owner, **dict.fromkeys(channels, 1), head_channels=0)
        limited = (*channels, "head_channels", "num_components")
        check_max(self, owner, **dict.fromkeys(limited, MAX_CHANNELS))
        check_share(self, owner, "dropout")
        Quantizer(self.num_classes, self.companding)
        if self.num_classes > MAX_ONE_HOT_CLASSES:
            remedy = f"use {{!r}} for {self.num_classes} classes, or at most {MAX_ONE_HOT_CLASSES}"
            if self.input == "one_hot":
                raise ConfigError(owner, "input", self.input, remedy.format("scalar"))
            if self.output == "categorical":
                raise ConfigError(owner, "output", self.output, remedy.format("logistic_mixture"))
        if self.block not in layers.BLOCKS:
            remedy = f"use one of {', '.join(layers.BLOCKS)}, or add it to layers.BLOCKS"
            raise ConfigError(owner, "block", self.block, remedy)
        self._check_kernel_sizes(owner)
        for i, stack in enumerate(self.context_stacks):
            if stack.hop_samples % self.frame_samples:
                field = f"context_stacks[{i}].hop_samples"
                remedy = f"give a multiple of the shortest, {self.frame_samples}"
                raise ConfigError(owner, field, stack.hop_samples, remedy)
        num_layers = len(self.dilations) + sum(len(x.dilations) for x in self.context_stacks)
        if num_layers > MAX_LAYERS:
            remedy = f"give at most {MAX_LAYERS}, with those of context stacks"
            raise ConfigError(owner, "number of layers", num_layers, remedy)
        spans = {"receptive field": receptive_field(self), "hop": self.hop_samples}
        for name, samples in spans.items():
            if samples > MAX_RECEPTIVE_FIELD:
                remedy = f"give at most {MAX_RECEPTIVE_FIELD} samples"
                raise ConfigError(owner, name, samples, remedy)

    def _check_kernel_sizes(self, owner: str) -> None:
        if (num_taps := layers.BLOCKS[self.block].num_taps) is None:
            return
        sizes = {"kernel_size": self.kernel_size}
        for i, stack in enumerate(self.context_stacks):
            sizes[f"context_stacks[{i}].kernel_size"] = stack.kernel_size
        for field, size in sizes.items():
            if size != num_taps:
                remedy = f"give {num_taps} with blocks of the kind {self.block!r}"
                raise ConfigError(owner, field, size, remedy)

    @property
    def quantizer(self) -> Quantizer:
        """From samples to codes and back."""
        return Quantizer(self.num_classes, self.companding)

    @property
    def distribution(self) -> distributions.Distribution:
        """The distribution of a sample's code, given the model's outputs."""
        return distributions.make(self.output, self.num_classes, self.num_components)

    @property
    def frame_samples(self) -> int:
        """The shortest hop of the context stacks, 1 without any."""
        return min((stack.hop_samples for stack in self.context_stacks), default=1)

    @property
    def hop_samples(self) -> int:
        """Samples after which the frames of the local condition and of all context stacks
        begin together: a recording may be cut at its multiples."""
        parts = (self.local_condition, *self.context_stacks)
        return math.lcm(*(part.hop_samples for part in parts if part is not None))


def main_receptive_field(config: WaveNetConfig) -> int:
    """Samples before t that the main stack's output at t depends on, without conditions."""
    return config.input_kernel_size + (config.kernel_size - 1) * sum(config.dilations)


def receptive_field(config: WaveNetConfig) -> int:
    """Samples before t that the distribution at t depends on, context stacks included.

    With context stacks the number varies with the position of t in its frame: this is the
    largest.
    """
    later_layers = (config.kernel_size - 1) * sum(config.dilations[1:])
    fields = [
        later_layers + (c.left_context + 2) * c.hop_samples - 1 for c in config.context_stacks
    ]
    return max(main_receptive_field(config), *fields) if fields else main_receptive_field(config)


def receptive_field_ms(config: WaveNetConfig, sample_rate_hz: int) -> float:
    """The receptive field in milliseconds."""
    return 1000 * receptive_field(config) / sample_rate_hz


# -- JSON ---------------------------------------------------------------------------


def to_dict(config: Any) -> Any:
    """A config, or any value of its fields, as JSON has it.

    Nested dataclasses become dicts and tuples lists. `from_dict` is the inverse.
    """
    if dataclasses.is_dataclass(config):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, tuple | list):
        return [to_dict(value) for value in config]
    if isinstance(config, Mapping):
        return {key: to_dict(value) for key, value in config.items()}
    return config


def from_dict(cls: type[Config], fields: Mapping[str, Any], name: str) -> Config:
    """A config from JSON, the inverse of `to_dict`.

    Args:
      cls: the dataclass. Its annotations may be int, float, bool, str, Literal, a dataclass,
        tuple and dict of these, any of them or None, and Any.
      fields: a value for each field; one that has a default may be left out.
      name: of the config in error messages, such as "model".

    Raises:
      InputError: an unknown field, or one without default is missing.
      ConfigError: a value has another type, or is refused by the dataclass's own checks.
    """
    if not isinstance(fields, Mapping):
        raise InputError(f"The {name} is {fields!r}: give a value for each of its fields.")
    all_fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(fields) - set(all_fields)):
        raise InputError(
            f"The {name} has no field {unknown[0]!r}: use {', '.join(sorted(all_fields))}."
        )
    for field in all_fields.values():
        has_default = not (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if field.name not in fields and not has_default:
            raise InputError(f"The {name} lacks the field {field.name!r}: give it a value.")
    annotations = _annotations(cls)
    values = {
        field: _convert(value, annotations[field], f"The {name}", field, parse=True)
        for field, value in fields.items()
    }
    return cls(**values)


# -- checks -------------------------------------------------------------------------


def check_types(config: Any, owner: str) -> None:
    """Refuses a value that its field's annotation does not allow.

    Lists become tuples, numpy's numbers Python's, and whole numbers floats where a float
    is annotated.

    Args:
      config: the dataclass.
      owner: its name in error messages, such as "The model".

    Raises:
      ConfigError: names the field.
    """
    for field, annotation in _annotations(type(config)).items():
        value = _convert(getattr(config, field), annotation, owner, field, parse=False)
        object.__setattr__(config, field, value)


def check_min(config: Any, owner: str, **minima: float) -> None:
    """Refuses a number below its minimum, or a tuple with one.

    Raises:
      ConfigError: names the field.
    """
    for field, minimum in minima.items():
        value = getattr(config, field)
        is_tuple = isinstance(value, tuple)
        for i, number in enumerate(value if is_tuple else (value,)):
            if not number >= minimum:
                name = f"{field}[{i}]" if is_tuple else field
                raise ConfigError(owner, name, number, f"give at least {minimum}")


def check_max(config: Any, owner: str, **maxima: float) -> None:
    """Refuses a number above its maximum.

    Raises:
      ConfigError: names the field.
    """
    for field, maximum in maxima.items():
        value = getattr(config, field)
        if not value <= maximum:
            raise ConfigError(owner, field, value, f"give at most {maximum}")


def check_not_empty(config: Any, owner: str, *fields: str) -> None:
    """Refuses an empty tuple.

    Raises:
      ConfigError: names the field.
    """
    for field in fields:
        if not getattr(config, field):
            raise ConfigError(owner, field, getattr(config, field), "give at least one")


def check_share(config: Any, owner: str, *fields: str) -> None:
    """Refuses a number outside [0, 1).

    Raises:
      ConfigError: names the field.
    """
    for field in fields:
        value = getattr(config, field)
        if not 0 <= value < 1:
            remedy = "give a number from 0 up to, not including, 1"
            raise ConfigError(owner, field, value, remedy)


def _annotations(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]


_SCALARS = {
    int: ("a whole number", int | np.integer),
    float: ("a number", int | float | np.integer | np.floating),
    bool: ("true or false", bool | np.bool_),
    str: ("a string", str),
}


def _convert(value: Any, annotation: Any, owner: str, field: str, *, parse: bool) -> Any:
    """`value` as the annotation has it; with `parse`, dataclasses from mappings."""
    convert = functools.partial(_convert, owner=owner, parse=parse)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return value
    if origin in (typing.Union, types.UnionType):  # X | None
        if value is None and types.NoneType in arguments:
            return None
        (annotation,) = (argument for argument in arguments if argument is not types.NoneType)
        return convert(value, annotation, field=field)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        choices = ", ".join(str(choice) for choice in arguments)
        raise ConfigError(owner, field, value, f"use one of {choices}")
    if origin is tuple:
        is_open = arguments[1:] == (...,)
        if not isinstance(value, tuple | list) or not (is_open or len(value) == len(arguments)):
            wanted = "values" if is_open else f"{len(arguments)} values"
            raise ConfigError(owner, field, value, f"give a list of {wanted}")
        kinds = arguments[:1] * len(value) if is_open else arguments
        return tuple(
            convert(each, kind, field=f"{field}[{i}]")
            for i, (each, kind) in enumerate(zip(value, kinds, strict=True))
        )
    if origin is dict:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ConfigError(owner, field, value, "give a value for each of some names")
        return {
            key: convert(each, arguments[1], field=f"{field}.{key}") for key, each in value.items()
        }
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        if parse and isinstance(value, Mapping):
            name = f"{owner[0].lower()}{owner[1:]}".removeprefix("the ")
            return from_dict(annotation, value, f"{name}'s {field}")
        if type(value) is not annotation:
            raise ConfigError(owner, field, value, f"give a {annotation.__name__}")
        return value
    if annotation not in _SCALARS:
        raise TypeError(f"{owner}'s {field} is annotated {annotation}, which no config may be.")
    wanted, allowed = _SCALARS[annotation]
    is_bool = isinstance(value, bool | np.bool_)
    if not isinstance(value, allowed) or is_bool != (annotation is bool):
        raise ConfigError(owner, field, value, f"give {wanted}")
    try:
        return annotation(value)
    except OverflowError as error:
        raise ConfigError(owner, field, value, "give one that a float holds") from error
