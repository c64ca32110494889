"""The fused stack and dense layers as functions of JAX, with gradients of their own."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Precision = Literal["float32", "bfloat16"]
"""Of the operands of products; sums, and all else, are in float32. On a CPU without instructions
for bfloat16 both are float32."""

MULTIPLE = 32
"""Every number of channels is a multiple of it, as of the columns that one product computes."""


class Block(NamedTuple):
    """What a residual block is computed with.

    Attributes:
      kernel: of the dilated convolution, `[K, R, 2G]`.
      condition: the sum of all conditions and the bias, `[F, B or 1, 2G]`.
      residual_kernel: `[G, R]`; None for the last block, which has no residual output.
      residual_bias: `[R]`; None likewise.
    """

    kernel: jax.Array
    condition: jax.Array
    residual_kernel: jax.Array | None = None
    residual_bias: jax.Array | None = None


class Shape(NamedTuple):
    """Where a block's taps and conditions are.

    Attributes:
      dilation: in samples.
      samples_per_frame: samples for which a frame of the condition holds; 0 where one holds for
        all.
      offset: of the block's first output sample within frame 0.
    """

    dilation: int
    samples_per_frame: int
    offset: int


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def stack(
    x: jax.Array, blocks: Sequence[Block], shapes: Sequence[Shape], precision: Precision
) -> jax.Array:
    """Residual blocks one above the other, as `layers.Stack` computes them.

    Args:
      x: shape `[left_context + T, B, R]`, float32.
      blocks: the parameters and conditions of each.
      shapes: of each.
      precision: of the products.

    Returns:
      The gated activations of all blocks side by side, `[T, B, L G]`.
    """
    return _stack_forward(x, blocks, shapes, precision)[0]


def _stack_forward(x, blocks, shapes, precision):
    """The activations; and beside them, for the gradient, tanh and sigmoid and the residual output
    of each block."""
    lengths, sizes = _stack_sizes(x, blocks, shapes, precision)
    batch, half = x.shape[1], blocks[0].kernel.shape[2] // 2
    results, arguments = [(lengths[-1], batch, len(blocks) * half)], [x]
    for block, length in zip(blocks, lengths, strict=True):
        results.append((length, batch, 2 * half))
        if block.residual_kernel is not None:
            results.append((length, batch, x.shape[2]))
        arguments += [block.kernel, block.condition, *_residual(block)]
    gated, *saved = _call("stack_forward", results, arguments, sizes)
    return gated, (x, blocks, saved)


def _stack_backward(shapes, precision, residuals, slopes):
    x, blocks, saved = residuals
    _, sizes = _stack_sizes(x, blocks, shapes, precision)
    gates, inputs = saved[::2], [x, *saved[1::2]]
    results, arguments = [x.shape], [slopes]
    for block, input_, gate in zip(blocks, inputs, gates, strict=True):
        residual = _residual(block)
        arguments += [input_, gate, block.kernel, residual[0]]
        results += [each.shape for each in (block.kernel, block.condition, *residual)]
    of_x, *rest = _call("stack_backward", results, arguments, sizes)
    of_blocks = []
    for i, block in enumerate(blocks):
        of_block = rest[4 * i : 4 * i + 4]
        of_blocks.append(Block(*of_block[: 2 if block.residual_kernel is None else 4]))
    return of_x, tuple(of_blocks)


stack.defvjp(_stack_forward, _stack_backward)


def _stack_sizes(x, blocks, shapes, precision) -> tuple[list[int], list[int]]:
    """The length of each block's output, and the sizes that the compiled functions read."""
    length, batch, width = x.shape
    taps, _, two_g = blocks[0].kernel.shape
    lengths, of_blocks = [], []
    for block, shape in zip(blocks, shapes, strict=True):
        length -= (taps - 1) * shape.dilation
        lengths.append(length)
        of_blocks += [*shape, *block.condition.shape[:2], length * batch]
    sizes = [len(blocks), batch, width, two_g // 2, taps, length * batch, _code(precision)]
    return lengths, sizes + of_blocks


def _residual(block: Block) -> tuple[jax.Array, jax.Array]:
    if block.residual_kernel is None or block.residual_bias is None:
        return jnp.zeros(0), jnp.zeros(0)
    return block.residual_kernel, block.residual_bias


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def dense(x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    """The product of x `[N, n]` and a kernel `[n, m]`, both float32."""
    return _dense_forward(x, kernel, precision)[0]


def _dense_forward(x, kernel, precision):
    sizes = [*x.shape, kernel.shape[1], _code(precision)]
    (y,) = _call("dense_forward", [(x.shape[0], kernel.shape[1])], (x, kernel), sizes)
    return y, (x, kernel)


def _dense_backward(precision, saved, slopes):
    x, kernel = saved
    sizes = [*x.shape, kernel.shape[1], _code(precision)]
    return tuple(_call("dense_backward", [x.shape, kernel.shape], (x, kernel, slopes), sizes))


dense.defvjp(_dense_forward, _dense_backward)


def dot_general(precision: Precision) -> Callable:
    """`jax.lax.dot_general` for `flax.linen.Dense`, with `dense` where its sizes allow it."""

    def product(x, kernel, dimension_numbers, **options):
        is_plain = dimension_numbers == (((1,), (0,)), ((), ())) and x.dtype == jnp.float32
        if is_plain and not any(size % MULTIPLE for size in kernel.shape):
            return dense(x, kernel, precision)
        return jax.lax.dot_general(x, kernel, dimension_numbers, **options)

    return product


def _call(name: str, results: Sequence[Any], arguments: Sequence[Any], sizes: Sequence[int]) -> Any:
    _register()
    kinds = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in results]
    return jax.ffi.ffi_call(f"wavenet_{name}", kinds)(*arguments, sizes=np.array(sizes, np.int64))


@functools.cache
def _register() -> None:
    """Compiles the functions, and tells XLA of them."""
    from wavenet_jax.fused import kernels

    for name in _HANDLERS:
        pointer = jax.ffi.pycapsule(getattr(kernels, name).ctypes)
        jax.ffi.register_ffi_target(f"wavenet_{name}", pointer, platform="cpu")


_HANDLERS = ("stack_forward", "stack_backward", "dense_forward", "dense_backward")


def has_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16."""
    from wavenet_jax.fused import kernels

    return kernels.HAS_BFLOAT16


def _code(precision: Precision) -> int:
    """As the compiled functions know it."""
    from wavenet_jax.fused import kernels

    is_half = precision == "bfloat16" and kernels.HAS_BFLOAT16
    return kernels.BFLOAT16 if is_half else kernels.FLOAT32
