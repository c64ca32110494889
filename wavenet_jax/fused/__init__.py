"""Whole sequences on one core of a CPU: the residual blocks and the dense layers, fused.

XLA computes a block operation by operation, each of which reads its operands from memory and
writes its result to it. Here a block is one pass over tiles that stay in a core's cache, forward
and backward, compiled with numba and called by XLA as a custom call. It is what training on a CPU
uses, one replica a core; `layers.Stack` without it is the oracle that it must agree with, to the
rounding of float32.
"""

from wavenet_jax.fused.ops import (
    MULTIPLE,
    Block,
    Precision,
    Shape,
    dense,
    dot_general,
    has_bfloat16,
    stack,
)

__all__ = [
    "MULTIPLE",
    "Block",
    "Precision",
    "Shape",
    "dense",
    "dot_general",
    "has_bfloat16",
    "stack",
]
