"""What the hardware allows: the same products, the same weights, and nothing else of a model."""

import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax.config import WaveNetConfig

Shape = tuple[int, int, int]
"""Rows, inner and columns of a matrix product."""


def products(config: WaveNetConfig, rows: Callable[[int], int], scored: int) -> list[Shape]:
    """The model's matrix products, in their order.

    Args:
      config: the model's.
      rows: how many rows (batch times samples) layer i computes.
      scored: how many rows the output has.
    """
    cfg, shapes = config, []
    last = len(cfg.dilations) - 1
    for i in range(last + 1):
        taps = cfg.kernel_size * cfg.residual_channels
        shapes.append((rows(i), taps, 2 * cfg.gate_channels))
        if i < last:
            shapes.append((rows(i), cfg.gate_channels, cfg.residual_channels))
    gates = len(cfg.dilations) * cfg.gate_channels
    widths = (gates, cfg.skip_channels, cfg.head_channels, cfg.num_classes)
    return shapes + [(scored, *pair) for pair in itertools.pairwise(widths)]


def multiply_adds(shapes: Sequence[Shape]) -> int:
    """Of all the products together."""
    return sum(m * k * n for m, k, n in shapes)


def median_s(function: Callable[[], Any], repeats: int) -> float:
    """Seconds a call takes; the first call, which compiles, does not count."""
    jax.block_until_ready(function())
    times_s = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        jax.block_until_ready(function())
        times_s.append(time.perf_counter() - begun_s)
    return statistics.median(times_s)


def large_product_rate(repeats: int) -> float:
    """Multiply-adds a second of a 1024 x 1024 x 1024 product."""
    a = _random((1024, 1024))
    product = jax.jit(lambda a, b: a @ b)
    return 1024**3 / median_s(lambda: product(a, a), repeats)


def weights_read_s(num_weights: int, repeats: int, dtype: Any = np.float32) -> float:
    """Seconds in which one core reads so many weights; a GPU or TPU, all of it, from wherever it
    keeps what it has just read."""
    values = 100 * _random((num_weights,))
    if jax.default_backend() == "cpu":
        weights = np.asarray(values).astype(dtype)
        return median_s(lambda: weights.max(), 20 * repeats)
    times, kept = 200, values.astype(dtype)

    @jax.jit
    def read(kept):
        return jax.lax.fori_loop(0, times, lambda _, most: jnp.max(kept + most), kept[0])

    return median_s(lambda: read(kept), repeats) / times


def step_products_s(shapes: Sequence[Shape], repeats: int) -> float:
    """Seconds of one generated step's products alone, each after the one before."""
    weights = [_random((k, n)) / k**0.5 for _, k, n in shapes]
    times, rows = 200, shapes[0][0]

    @jax.jit
    def run(weights):
        def step(_, x):
            for weight in weights:
                # Width of the next input, whatever the last output's was.
                repeats = -(-weight.shape[0] // x.shape[1])
                x = jnp.tile(x, (1, repeats))[:, : weight.shape[0]] @ weight
            return x[:, :1]

        return jax.lax.fori_loop(0, times, step, jnp.ones((rows, 1)))

    return median_s(lambda: run(weights), repeats) / times


def products_s(shapes: Sequence[Shape], repeats: int, *, backward: bool) -> float:
    """Seconds of products alone: forward, and for training both of the backward pass.

    Products of one shape take as long as one another: each shape is timed once.
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


def row(name: str, samples_per_s: float, limits: dict[str, float]) -> dict[str, Any]:
    """A figure beside its limits: by the name of each, `limits` and `share`."""
    return {
        "name": name,
        "samples_per_s": samples_per_s,
        "limits": limits,
        "share": {limit: samples_per_s / value for limit, value in limits.items()},
    }


def _random(shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(0), shape)
