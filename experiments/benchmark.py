"""Training and generation throughput on this machine, beside what limits them.

    python -m experiments.benchmark [--config=FILE] [--json=FILE]

Measures the reference model (experiments/configs/reference.py) unless told otherwise.

A figure on a shared machine drifts, a ratio less: each limit is measured in the
same run, next to the figure it limits.

* own products: the model's matrix products alone, in their shapes, one after the
  other as the model needs them; for training the two of the backward pass as well.
* large product: the same multiply-adds at the rate of one 1024 x 1024 x 1024 product.
* weights summed: XLA sums every float32 weight once.
* weights read: one core reads every float32 weight once, as fast as numpy can (its
  maximum, which is vectorised where the sum of floats is not). No step on one core
  that needs all its weights can be faster.
"""

import functools
import itertools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import flags
from tqdm import tqdm

from experiments import cli
from experiments.configs import reference
from wavenet_jax import sampling, training
from wavenet_jax.sampling import scan
from wavenet_jax.training import TrainingConfig
from wavenet_jax.wavenet import WaveNet, WaveNetConfig, config_from_dict, receptive_field

flags.declare_key_flag("json")
flags.declare_key_flag("config")
_BATCHES = flags.DEFINE_list("batches", ["1", "8", "32"], "Batch sizes to generate at.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs of each; the median counts.")

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


def weights_summed_s(num_weights: int, repeats: int) -> float:
    """Seconds of XLA's sum over so many float32 weights."""
    weights, total = _random((num_weights,)), jax.jit(jnp.sum)
    return median_s(lambda: total(weights), 20 * repeats)


def weights_read_s(num_weights: int, repeats: int) -> float:
    """Seconds in which one core of the host reads so many float32 weights."""
    weights = np.asarray(_random((num_weights,)))
    return median_s(lambda: weights.max(), 20 * repeats)


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


def training_products_s(shapes: Sequence[Shape], repeats: int) -> float:
    """Seconds of a training step's products alone: forward and both backward.

    Products of one shape take as long as one another: each shape is timed once.
    """
    total_s = 0.0
    for m, k, n in set(shapes):
        x, w, g = _random((m, k)), _random((k, n)), _random((m, n))
        forward = jax.jit(lambda x, w: x @ w)
        to_x = jax.jit(lambda g, w: g @ w.T)
        to_w = jax.jit(lambda x, g: x.T @ g)
        once_s = (
            median_s(functools.partial(forward, x, w), repeats)
            + median_s(functools.partial(to_x, g, w), repeats)
            + median_s(functools.partial(to_w, x, g), repeats)
        )
        total_s += once_s * shapes.count((m, k, n))
    return total_s


def training_row(
    config: ml_collections.ConfigDict, model: WaveNetConfig, rate: float, repeats: int
) -> dict[str, Any]:
    """Training: scored samples a second, whole steps with context and optimiser."""
    settings = TrainingConfig(num_steps=1000, **config.training.to_dict())
    state = training.on_all_devices(training.init_state(model, settings))
    batch, segment = config.batch_size, config.segment_samples
    field = receptive_field(model)
    rng = np.random.default_rng(0)
    windows = {
        "samples": rng.normal(0, 3000, (batch, field + segment)).astype(np.int16),
        "mask": np.ones((batch, segment), bool),
    }
    batches = training.split_over_devices(windows, jax.local_device_count())
    step = training.make_parallel_step(model, settings)
    held = [state]

    def run():
        held[0], metrics = step(held[0], batches)
        return metrics

    step_s = median_s(run, repeats)
    past = np.cumsum([(model.kernel_size - 1) * d for d in model.dilations])
    lengths = segment + past[-1] - past
    shapes = products(model, lambda i: batch * int(lengths[i]), batch * segment)
    return _row(
        f"training, {batch} x {segment}",
        batch * segment / step_s,
        {
            "own products": batch * segment / training_products_s(shapes, repeats),
            "large product": batch * segment * rate / (3 * multiply_adds(shapes)),
        },
    )


def generation_row(
    model: WaveNetConfig, params: Any, batch: int, rate: float, repeats: int
) -> dict[str, Any]:
    """Generation: samples a second, all rows of the batch together."""
    net = WaveNet(model)
    steps = max(200, 1600 // batch)
    keys = sampling.utterance_keys(0, range(batch))
    uniforms = sampling.uniforms(keys, jnp.int32(0), steps)
    chunk = jax.jit(
        lambda params, state: scan.generate_chunk(net, params, state, uniforms, jnp.float32(1)),
        donate_argnums=1,
    )
    held = [net.apply(params, batch, method="initial_state")]

    def run():
        samples, held[0] = chunk(params, held[0])
        return samples

    second = batch * steps / median_s(run, repeats)
    shapes = products(model, lambda _: batch, batch)
    num_weights = sum(x.size for x in jax.tree.leaves(params))
    return _row(
        f"generation, batch {batch}",
        second,
        {
            "weights summed": batch / weights_summed_s(num_weights, repeats),
            "weights read": batch / weights_read_s(num_weights, repeats),
            "own products": batch / step_products_s(shapes, repeats),
            "large product": batch * rate / multiply_adds(shapes),
        },
    )


def benchmark(
    config: ml_collections.ConfigDict, *, batches: Sequence[int], repeats: int = 5
) -> dict[str, Any]:
    """Measures one config.

    Returns:
      `machine`, `model` and `rows`: each a name, `samples_per_s`, and by the name
      of a limit `limits` (samples a second) and `share` (the figure over the limit).
    """
    model = config_from_dict(config.model.to_dict())
    settings = TrainingConfig(num_steps=1)
    params = training.init_state(model, settings).params
    rate = large_product_rate(repeats)
    jobs = [functools.partial(training_row, config, model, rate, repeats)]
    jobs += [functools.partial(generation_row, model, params, b, rate, repeats) for b in batches]
    return {
        "machine": _machine(),
        "model": {
            "parameters": sum(x.size for x in jax.tree.leaves(params)),
            "multiply_adds_per_sample": multiply_adds(products(model, lambda _: 1, 1)),
            "receptive_field_samples": receptive_field(model),
        },
        "large_product_gmac_per_s": rate / 1e9,
        "rows": [job() for job in tqdm(jobs, unit="measurement", file=sys.stderr)],
    }


def as_table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    names = ["weights summed", "weights read", "own products", "large product"]
    lines = [
        "| samples/s | measured | " + " | ".join(f"limit: {n}" for n in names) + " |",
        "|---|---" + "|---" * len(names) + "|",
    ]
    for row in figures["rows"]:
        cells = [
            f"{row['limits'][n]:,.0f} ({row['share'][n]:.0%})" if n in row["limits"] else ""
            for n in names
        ]
        lines.append(f"| {row['name']} | {row['samples_per_s']:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _row(name: str, samples_per_s: float, limits: dict[str, float]) -> dict[str, Any]:
    return {
        "name": name,
        "samples_per_s": samples_per_s,
        "limits": limits,
        "share": {limit: samples_per_s / value for limit, value in limits.items()},
    }


def _random(shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(0), shape)


def _machine() -> dict[str, Any]:
    return {
        "platform": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def main(argv: Sequence[str]) -> None:
    del argv
    batches = cli.positive_integers("batches", _BATCHES.value)
    (repeats,) = cli.positive_integers("repeats", [_REPEATS.value])
    config = cli.CONFIG.value or reference.get_config()
    figures = benchmark(config, batches=batches, repeats=repeats)
    print(as_table(figures))
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main)
