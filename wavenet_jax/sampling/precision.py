"""Precision of the weights with which a model generates.

A step reads each weight once for one or two operations, so that generation is as fast as its
weights are read. Kernels (not biases, not embeddings) are kept in

* "float32", as they were trained;
* "bfloat16", the upper half of that;
* "int8", a whole number times a scale of its output channel.

All compute in float32. `quantize_weights` gives the same values in float32, with which any other
way to run the model shows what a precision costs.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from wavenet_jax.errors import InputError

Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")

_LARGEST = 127


class Matrix(NamedTuple):
    """Kernels `[..., inputs, outputs]`, `values` times `scale`.

    Attributes:
      values: float32, int8, or uint16 with the bits of bfloat16.
      scale: float32 `[..., outputs]`.
    """

    values: np.ndarray
    scale: np.ndarray


def matrix(kernel: np.ndarray, precision: Precision) -> Matrix:
    """A kernel, float32 `[..., inputs, outputs]`, at a precision."""
    check_precision(precision)
    kernel = np.ascontiguousarray(kernel, np.float32)
    ones = np.ones((*kernel.shape[:-2], kernel.shape[-1]), np.float32)
    if precision == "float32":
        return Matrix(kernel, ones)
    if precision == "bfloat16":
        return Matrix(np.asarray(kernel.astype(jnp.bfloat16)).view(np.uint16), ones)
    largest = np.abs(kernel).max(axis=-2)
    scale = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    return Matrix(np.rint(kernel / scale[..., None, :]).astype(np.int8), scale)


def quantize_weights(params: Any, precision: Precision) -> Any:
    """A model's variables, float32, its kernels rounded to a precision."""
    check_precision(precision)
    if precision == "float32":
        return params

    def value(path: tuple[str, ...], leaf: jax.Array) -> jax.Array:
        if not is_quantized(path):
            return leaf
        kernel = np.asarray(leaf)
        if path[-2].startswith("blocks_"):  # taps are inputs: one scale for all
            kernel = kernel.reshape(-1, kernel.shape[-1])
        made = matrix(kernel, precision)
        values = made.values.view(jnp.bfloat16) if precision == "bfloat16" else made.values
        return jnp.asarray((values.astype(np.float32) * made.scale).reshape(leaf.shape))

    flat = traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict({path: value(path, leaf) for path, leaf in flat.items()})


def is_quantized(path: tuple[str, ...]) -> bool:
    """Whether the variable of that path is a kernel of the main stack or of the head."""
    return path[-1] == "kernel" and (
        (path[1] == "stack" and (path[-2] == "residual" or path[-2].startswith("blocks_")))
        or path[1] in ("skip", "head", "output")
    )


def check_precision(precision: str) -> None:
    """Raises InputError for an unknown precision."""
    if precision not in PRECISIONS:
        raise InputError(f"The precision is {precision!r}: use one of {', '.join(PRECISIONS)}.")
