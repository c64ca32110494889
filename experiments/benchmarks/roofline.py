"""Rooflines: the speed that the hardware allows a model's matrix products and weights.

* weights read: one core reads every weight once, with the bits of the precision, as fast as
  numpy can (its maximum, which is vectorised where the sum of floats is not). No step on one core
  that needs all weights can be faster.
* model GEMM: the model's matrix products alone, in their shapes, one after the other as the model
  needs them; for training the two of the backward pass as well.
* peak GEMM: the same multiply-adds at the rate of one 1024 x 1024 x 1024 product.
"""

import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import WaveNetConfig

Shape = tuple[int, int, int]
"""m, k and n of a matrix product `[m, k] @ [k, n]`."""

LIMITS = ("weights read", "model GEMM", "peak GEMM")


def gemm_shapes(
    config: WaveNetConfig, layer_batch: Callable[[int], int], output_batch: int
) -> list[Shape]:
    """The model's matrix products, in their order.

    Args:
      config: of the model.
      layer_batch: from the index of a layer to how many samples it computes, in the whole batch.
      output_batch: how many samples the output computes.
    """
    cfg, shapes = config, []
    last, is_fftnet = len(cfg.dilations) - 1, cfg.block == "fftnet"
    for i in range(last + 1):
        taps = cfg.kernel_size * cfg.residual_channels
        shapes.append((layer_batch(i), taps, cfg.gate_channels * (1 if is_fftnet else 2)))
        if i < last:
            shapes.append((layer_batch(i), cfg.gate_channels, cfg.residual_channels))
    gates = cfg.gate_channels * (1 if is_fftnet else len(cfg.dilations))
    widths = [gates, cfg.skip_channels, cfg.head_channels, cfg.distribution.num_parameters]
    pairs = itertools.pairwise(width for width in widths if width)
    return shapes + [(output_batch, *pair) for pair in pairs]


def multiply_adds(shapes: Sequence[Shape]) -> int:
    """The multiply-adds of all products."""
    return sum(m * k * n for m, k, n in shapes)


def multiply_adds_per_sample(config: WaveNetConfig) -> int:
    """The multiply-adds of one sample, which are also the weights of all products."""
    return multiply_adds(gemm_shapes(config, lambda _: 1, 1))


def median_s(function: Callable[[], Any], repeats: int) -> float:
    """The median time of a call in seconds; a first call, which compiles, is not counted."""
    jax.block_until_ready(function())
    times_s = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        jax.block_until_ready(function())
        times_s.append(time.perf_counter() - begun_s)
    return statistics.median(times_s)


def peak_gemm_rate(repeats: int) -> float:
    """Multiply-adds a second of a 1024 x 1024 x 1024 product."""
    a = _random((1024, 1024))
    product = jax.jit(lambda a, b: a @ b)
    return 1024**3 / median_s(lambda: product(a, a), repeats)


def weights_read_s(num_weights: int, repeats: int, dtype: Any = np.float32) -> float:
    """The time in which one core reads the weights; on a GPU or TPU, the whole device, from the
    cache where they fit it."""
    values = 100 * _random((num_weights,))
    if jax.default_backend() == "cpu":
        weights = np.asarray(values).astype(dtype)
        return median_s(lambda: weights.max(), 20 * repeats)
    times, weights_on_device = 200, values.astype(dtype)

    @jax.jit
    def read(weights):
        return jax.lax.fori_loop(0, times, lambda _, most: jnp.max(weights + most), weights[0])

    return median_s(lambda: read(weights_on_device), repeats) / times


def step_gemms_s(shapes: Sequence[Shape], repeats: int) -> float:
    """The time of one generated step's products alone, each after the one before."""
    weights = [_random((k, n)) / k**0.5 for _, k, n in shapes]
    times, batch = 200, shapes[0][0]

    @jax.jit
    def run(weights):
        def step(_, x):
            for weight in weights:
                # The next product's input has its own width: tile and cut the output to it.
                repeats = -(-weight.shape[0] // x.shape[1])
                x = jnp.tile(x, (1, repeats))[:, : weight.shape[0]] @ weight
            return x[:, :1]

        return jax.lax.fori_loop(0, times, step, jnp.ones((batch, 1)))

    return median_s(lambda: run(weights), repeats) / times


def gemms_s(shapes: Sequence[Shape], repeats: int, *, backward: bool) -> float:
    """The time of the products alone: forward, and with `backward` both of the backward pass.

    Products of one shape take the same time: each shape is measured once.
    """
    total_s = 0.0
    for m, k, n in set(shapes):
        x, w, g = _random((m, k)), _random((k, n)), _random((m, n))
        forward = jax.jit(lambda x, w: x @ w)
        to_x = jax.jit(lambda g, w: g @ w.T)
        to_w = jax.jit(lambda x, g: x.T @ g)
        once_s = median_s(functools.partial(forward, x, w), repeats)
        if backward:
            once_s += median_s(functools.partial(to_x, g, w), repeats)
            once_s += median_s(functools.partial(to_w, x, g), repeats)
        total_s += once_s * shapes.count((m, k, n))
    return total_s


def compared(name: str, samples_per_s: float, limits: dict[str, float]) -> dict[str, Any]:
    """A speed with its limits: `name`, `samples_per_s`, `limits`, and `share` of each limit."""
    return {
        "name": name,
        "samples_per_s": samples_per_s,
        "limits": limits,
        "share": {limit: samples_per_s / value for limit, value in limits.items()},
    }


def _random(shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(0), shape)
