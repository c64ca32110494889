"""Weight normalisation (Salimans and Kingma, 2016): kernels as lengths and directions.

w = g v / |v|        for each output channel, |v| the Euclidean norm of its column
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from wavenet_jax.errors import InputError
from wavenet_jax.training.config import TrainingConfig

_ZERO_KERNELS = ("params/output/kernel", "params/classifier/output/kernel")
"""The kernels of the output layers, which begin at zero and are not split."""


def model_params(config: TrainingConfig, params: Any) -> Any:
    """The model's variables, of the parameters that are optimised."""
    if not config.weight_normalization:
        return params
    kernels = traverse_util.flatten_dict(params["directions"], sep="/")
    for name, lengths in params["lengths"].items():
        scale = lengths / _column_lengths(kernels[name])
        kernels[name] = kernels[name] * scale[(None,) * (kernels[name].ndim - 1)]
    return traverse_util.unflatten_dict(kernels, sep="/")


def check_split(config: TrainingConfig, params: Any) -> None:
    """Refuses parameters that were begun with the other value of `weight_normalization`.

    Raises:
      InputError: names the field, both values and the remedy.
    """
    field, now = "weight_normalization", config.weight_normalization
    was = set(params) == {"directions", "lengths"}
    if was != now:
        raise InputError(
            f"The state was trained with {field}={was}, and the config says {now}: resume with "
            f"{field}={was}, or begin another run with its parameters as pretrained ones."
        )


def split_kernels(variables: Any) -> dict[str, Any]:
    """The parameters to optimise, the inverse of `model_params`.

    Returns:
      `directions`, the variables; and `lengths`, of the columns of each kernel that is split.
      The direction of a column of zeros, which has none, is (1, ..., 1), with length 0.
    """
    flat = traverse_util.flatten_dict(jax.tree.map(jnp.copy, variables), sep="/")
    names = [name for name in flat if name.endswith("/kernel") and name not in _ZERO_KERNELS]
    lengths = {name: _column_lengths(flat[name]) for name in names}
    for name in names:
        flat[name] = jnp.where(lengths[name] > 0, flat[name], 1.0)
    return {"directions": traverse_util.unflatten_dict(flat, sep="/"), "lengths": lengths}


def _column_lengths(kernel: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(kernel**2, axis=tuple(range(kernel.ndim - 1))))
