"""The training state and its first value."""

from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from wavenet_jax.training import weight_norm
from wavenet_jax.training.config import TrainingConfig
from wavenet_jax.training.optimizer import make_optimizer
from wavenet_jax.training.variables import ModelConfig, NamedAxis, adopt, init_variables


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


def init_state(
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    pretrained: Any = None,
    named_axes: Sequence[NamedAxis] = (),
) -> TrainState:
    """The state before the first step, a function of the seed and `pretrained`.

    Args:
      model_config: of the model.
      config: of the training.
      pretrained: variables of another model, from which this one begins as far as they
        fit (`adopt`).
      named_axes: of `pretrained`, as for `adopt`.

    Raises:
      InputError: no kernel of `pretrained` fits.
    """
    init_key, key = jax.random.split(jax.random.key(config.seed))
    variables = init_variables(model_config, init_key)
    if pretrained is not None:
        adoption = adopt(model_config, pretrained, named_axes)
        variables = adoption.begin(variables, pretrained)
    params = weight_norm.split_kernels(variables) if config.weight_normalization else variables
    return TrainState(
        step=jnp.int32(0),
        params=params,
        ema_params=jax.tree.map(jnp.copy, variables),
        opt_state=make_optimizer(config).init(params),
        key=jax.random.key_data(key),
    )
