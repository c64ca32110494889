"""The training state, its first value, and parameters of another model to begin with."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from flax import traverse_util

from wavenet_jax.config import WaveNetConfig
from wavenet_jax.errors import InputError
from wavenet_jax.recognition.recognizer import Recognizer, RecognizerConfig
from wavenet_jax.training import weight_norm
from wavenet_jax.training.config import TrainingConfig
from wavenet_jax.training.optimizer import make_optimizer
from wavenet_jax.wavenet import WaveNet

ModelConfig = WaveNetConfig | RecognizerConfig
"""The configuration of a model that can be trained."""

_MAX_NAMED = 6
"""Parameters of one kind that a sentence names."""


@flax.struct.dataclass
class TrainState:
    """All that a training step reads and changes.

    Attributes:
      step: int32 scalar, the number of updates made.
      params: the parameters that are optimised: the model's variables, or with weight
        normalisation their lengths and directions (`model_params`).
      ema_params: exponential moving average of the model's variables, for scoring and
        sampling.
      opt_state: the optimiser's state.
      key: data of the PRNG key that dropout and noise are drawn from, together with
        the step.
    """

    step: jax.Array
    params: Any
    ema_params: Any
    opt_state: Any
    key: jax.Array


def init_variables(model_config: ModelConfig, key: jax.Array) -> Any:
    """The first variables of a model."""
    if isinstance(model_config, RecognizerConfig):
        frame = jnp.zeros((1, model_config.hop_samples), jnp.int32)
        return jax.jit(Recognizer(model_config).init)(key, frame, jnp.ones((1, 1), bool))
    conditions = {}
    for name in ("global", "local"):
        condition = getattr(model_config, f"{name}_condition")
        if condition is not None:
            shape = (1,) if name == "global" else (1, 1 + 2 * condition.context_frames)
            is_labels = condition.kind == "labels"
            conditions[f"{name}_condition"] = jnp.zeros(
                shape if is_labels else (*shape, condition.size),
                jnp.float32 if condition.kind == "vectors" else jnp.int32,
            )
    init = jax.jit(WaveNet(model_config).init)
    return init(key, jnp.zeros((1, 1), jnp.int32), **conditions)


def init_state(
    model_config: ModelConfig, config: TrainingConfig, *, pretrained: Any = None
) -> TrainState:
    """The state before the first step, a function of the seed and `pretrained`.

    Args:
      model_config: of the model.
      config: of the training.
      pretrained: variables of another model, from which this one begins as far as they
        fit (`adopt`).

    Raises:
      InputError: no kernel of `pretrained` fits.
    """
    init_key, key = jax.random.split(jax.random.key(config.seed))
    variables = init_variables(model_config, init_key)
    if pretrained is not None:
        adoption = adopt(model_config, pretrained)
        flat, other = (_flat(tree) for tree in (variables, pretrained))
        flat |= {name: jnp.asarray(other[name]) for name in adoption.taken}
        variables = traverse_util.unflatten_dict(flat, sep="/")
    params = weight_norm.split_kernels(variables) if config.weight_normalization else variables
    return TrainState(
        step=jnp.int32(0),
        params=params,
        ema_params=jax.tree.map(jnp.copy, variables),
        opt_state=make_optimizer(config).init(params),
        key=jax.random.key_data(key),
    )


@dataclasses.dataclass(frozen=True)
class Adoption:
    """The parameters that a model takes of a pretrained one, by name.

    Attributes:
      taken: of the same name and shape in both.
      reshaped: of the same name and another shape, with both shapes: this model's, then the
        pretrained one's. They begin at random.
      new: those that the pretrained model does not have. They begin at random.
      unused: those of the pretrained model that this one does not have.
    """

    taken: tuple[str, ...]
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        """One sentence for a person."""
        total = len(self.taken) + len(self.reshaped) + len(self.new)
        parts = [f"{len(self.taken)} of {total} parameters begin with the pretrained model's"]
        if self.reshaped:
            shapes = {
                name: [" x ".join(map(str, shape)) for shape in pair]
                for name, pair in self.reshaped.items()
            }
            described = [
                f"{_short(name)} {here} ({there} there)" for name, (here, there) in shapes.items()
            ]
            parts.append(f"of another shape and begun at random: {_listed(described)}")
        if self.new:
            parts.append(f"new and begun at random: {_listed([*map(_short, self.new)])}")
        if self.unused:
            parts.append(f"not taken: {_listed([*map(_short, self.unused)])}")
        return "; ".join(parts) + "."


def adopt(model_config: ModelConfig, pretrained: Any) -> Adoption:
    """Which parameters a model takes of a pretrained one: those of the same name and shape.

    A generator's parameters begin a recognizer, and the other way round; a condition of
    another width is left out.

    Raises:
      InputError: no kernel is among them.
    """
    shapes = jax.eval_shape(lambda: init_variables(model_config, jax.random.key(0)))
    mine, other = (
        {name: tuple(x.shape) for name, x in _flat(tree).items()} for tree in (shapes, pretrained)
    )
    taken = tuple(name for name in mine if mine[name] == other.get(name))
    reshaped = {
        name: (mine[name], other[name]) for name in mine if name in other and name not in taken
    }
    if not any(name.endswith("/kernel") for name in taken):
        example = next((name for name in reshaped if name.endswith("/kernel")), None)
        difference = ""
        if example:
            here, there = (" x ".join(map(str, shape)) for shape in reshaped[example])
            difference = f" ({_short(example)} is {there} there and {here} here)"
        raise InputError(
            f"The pretrained model shares no kernel with this one{difference}: use one of the "
            "same channels, kernel size and number of layers."
        )
    return Adoption(
        taken=taken,
        reshaped=reshaped,
        new=tuple(name for name in mine if name not in other),
        unused=tuple(name for name in other if name not in mine),
    )


def _flat(tree: Any) -> dict[str, Any]:
    return traverse_util.flatten_dict(tree, sep="/")


def _short(name: str) -> str:
    return name.removeprefix("params/")


def _listed(names: list[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
