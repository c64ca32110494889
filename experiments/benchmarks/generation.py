"""How fast a model generates: by each backend, at each precision, and how soon it begins.

Ways are measured in turn, one round after the other, so that a machine that slows down slows
them all.
"""

import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from experiments.benchmarks import roofline
from experiments.common import plots
from wavenet_jax import sampling, training
from wavenet_jax.config import ConditionConfig, WaveNetConfig, receptive_field
from wavenet_jax.sampling import cpu, pallas, scan
from wavenet_jax.sampling.precision import quantize_weights
from wavenet_jax.training import TrainingConfig
from wavenet_jax.wavenet import WaveNet

CHUNK_SAMPLES = 256
"""Of the chunks whose latency is measured."""

BYTES = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}


class BackendConfig(NamedTuple):
    """To generate."""

    backend: sampling.Backend
    precision: sampling.Precision

    @property
    def name(self) -> str:
        return f"{self.backend}, {self.precision}" if self.backend == "cpu" else self.backend


def ways(model: WaveNetConfig) -> list[BackendConfig]:
    """Those that a model has on this machine; of backends whose speed no precision changes, one.
    (With context stacks `cpu` is many calls, which are not measured here.)"""
    found = [BackendConfig("scan", "float32")]
    if sampling.supports(model, "cpu", None) and not model.context_stacks:
        found += [BackendConfig("cpu", precision) for precision in sampling.PRECISIONS]
    if sampling.supports(model, "pallas", None):
        found.append(BackendConfig("pallas", "float32"))
    return found


def speeds(
    model: WaveNetConfig, params: Any, batch: int, among: Sequence[BackendConfig], repeats: int
) -> dict[BackendConfig, float]:
    """Samples a second, all rows of the batch together; the median of rounds."""
    steps = max(200, 1600 // batch)
    steps = -(-steps // model.hop_samples) * model.hop_samples
    runs = {way: _prepared(model, params, batch, steps, way) for way in among}
    seconds: dict[BackendConfig, list[float]] = {way: [] for way in among}
    for round_ in range(repeats + 1):
        for way, run in runs.items():
            begun_s = time.perf_counter()
            run()
            if round_:  # the first compiles
                seconds[way].append(time.perf_counter() - begun_s)
    return {way: batch * steps / statistics.median(each) for way, each in seconds.items()}


def _prepared(
    model: WaveNetConfig, params: Any, batch: int, steps: int, way: BackendConfig
) -> Callable[[], Any]:
    """What generates so many samples more."""
    net, conditions = WaveNet(model), random_conditions(model, batch, steps)
    keys = sampling.utterance_keys(0, range(batch))
    uniforms = sampling.uniforms(keys, jnp.int32(0), steps)
    given = {f"{name}_condition": value for name, value in conditions.items()}
    begin = functools.partial(
        net.apply, method="initial_state", global_condition=given["global_condition"]
    )
    held: list[Any] = [jax.jit(begin, static_argnums=1)(params, batch)]
    if way.backend != "cpu":
        make = {"scan": scan, "pallas": pallas}[way.backend].generate_chunk
        chunk = jax.jit(
            lambda params, state: make(net, params, state, uniforms, jnp.float32(1), **given),
            donate_argnums=1,
        )

        def run_on_device() -> None:
            samples, held[0] = chunk(params, held[0])
            jax.block_until_ready(samples)

        return run_on_device
    weights = cpu.pack(model, quantize_weights(params, way.precision), way.precision)
    projected: Any = net.apply(params, *conditions.values(), 0, method="project_conditions")
    numbers, rows = np.asarray(uniforms), np.asarray(projected[0])
    held[0] = cpu.pack_state(held[0], way.precision)

    def run_cpu() -> None:
        _, held[0] = cpu.generate_chunk(
            model, weights, held[0], numbers, 1.0, rows, projected[1], 0
        )

    return run_cpu


def state_bytes(model: WaveNetConfig, batch: int) -> int:
    """What a batch's state takes."""
    net = WaveNet(model)
    conditions = random_conditions(model, batch, 1)

    def begin(params: Any) -> Any:
        return net.apply(
            params, batch, global_condition=conditions["global"], method="initial_state"
        )

    params = training.init_state(model, TrainingConfig(num_steps=1)).params
    return sum(
        leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(begin, params))
    )


def rows(
    model: WaveNetConfig, params: Any, batch: int, rate: float, repeats: int
) -> list[dict[str, Any]]:
    """Generation in each way beside its limits, `rate` that of peak GEMMs."""
    shapes = roofline.products(model, lambda _: batch, batch)
    num_weights = roofline.multiply_adds(roofline.products(model, lambda _: 1, 1))
    made = []
    measured = speeds(model, params, batch, ways(model), repeats)
    of_products = batch / roofline.step_products_s(shapes, repeats)
    for way, speed in measured.items():
        read_s = roofline.weights_read_s(num_weights, repeats, BYTES[way.precision])
        found = {
            "weights read": batch / read_s,
            "model GEMM": of_products,
            "peak GEMM": batch * rate / roofline.multiply_adds(shapes),
        }
        made.append(roofline.row(f"generation, batch {batch}, {way.name}", speed, found))
    return made


def latency(
    model: WaveNetConfig, params: Any, way: BackendConfig, sample_rate_hz: int, repeats: int
) -> dict[str, Any]:
    """How soon sound comes in live use, once the programs are compiled.

    Returns:
      The `name` of the way; `first_ms`, from the call to the first chunk; `chunk_ms`, from one
      chunk to the next, whose conditions arrive with it; and how long a chunk sounds, `sounds_ms`.
    """
    chunk = -(-CHUNK_SAMPLES // model.hop_samples) * model.hop_samples
    local = model.local_condition
    conditions = random_conditions(model, 1, 8 * chunk)
    frames = conditions["local"]
    at_once = chunk // local.hop_samples if local else 1

    def arriving():
        for first in range(0, frames.shape[1], at_once):
            yield frames[:, first : first + at_once]

    firsts: list[float] = []
    between: list[float] = []
    for round_ in range(repeats + 1):
        begun_s = time.perf_counter()
        for i, _ in enumerate(
            sampling.generate(
                model,
                params,
                keys=sampling.utterance_keys(0, [0]),
                num_samples=6 * chunk,
                global_condition=conditions["global"],
                local_condition=None if frames is None else arriving(),
                chunk_samples=chunk,
                backend=way.backend,
                precision=way.precision,
            )
        ):
            now_s = time.perf_counter()
            if round_:
                (between if i else firsts).append(now_s - begun_s)
            begun_s = now_s
    return {
        "name": way.name,
        "first_ms": 1000 * statistics.median(firsts),
        "chunk_ms": 1000 * statistics.median(between),
        "sounds_ms": 1000 * chunk / sample_rate_hz,
    }


# -- curves ------------------------------------------------------------------------------


def _layers(model: WaveNetConfig, number: int) -> WaveNetConfig:
    return dataclasses.replace(model, dilations=tuple(2 ** (i % 10) for i in range(number)))


def _channels(model: WaveNetConfig, number: int) -> WaveNetConfig:
    return dataclasses.replace(model, residual_channels=number, gate_channels=number)


def _field(model: WaveNetConfig, doublings: int) -> WaveNetConfig:
    number = len(model.dilations)
    return dataclasses.replace(model, dilations=tuple(2 ** (i % doublings) for i in range(number)))


AXES: dict[str, tuple[tuple[int, ...], Callable[[WaveNetConfig, int], WaveNetConfig]]] = {
    "layers": ((10, 20, 30, 40), _layers),
    "channels": ((16, 32, 64, 128), _channels),
    "receptive field, samples": ((1, 4, 7, 10, 12), _field),
}
"""By what is on the axis, its values and what they make of the model."""

BATCHES = (1, 2, 4, 8, 16, 32, 64)


def sweep(model: WaveNetConfig, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Samples a second against the batch, and of one row against each of `AXES`.

    Returns:
      For each axis rows of `value`, `speeds` by the name of the way, and `limits`: what the
      rate of a peak GEMM and the reading of the weights allow.
    """
    jobs = [("batch", batch, batch, model) for batch in BATCHES]
    for axis, (values, change) in AXES.items():
        for value in values:
            changed = change(model, value)
            shown = receptive_field(changed) if axis.startswith("receptive") else value
            jobs.append((axis, shown, 1, changed))
    rate = roofline.large_product_rate(repeats)
    found: dict[str, list[dict[str, Any]]] = {}
    for axis, value, batch, changed in tqdm(jobs, unit="model", file=sys.stderr):
        params = training.init_state(changed, TrainingConfig(num_steps=1)).params
        measured = speeds(changed, params, batch, ways(changed), repeats)
        num_weights = roofline.multiply_adds(roofline.products(changed, lambda _: 1, 1))
        allowed = {
            "limit: peak GEMM": rate / num_weights,
            "limit: float32 weights read": batch / roofline.weights_read_s(num_weights, repeats),
        }
        found.setdefault(axis, []).append(
            {
                "value": value,
                "speeds": {way.name: speed for way, speed in measured.items()},
                "limits": allowed,
            }
        )
    return found


def as_sweep_table(found: dict[str, list[dict[str, Any]]]) -> str:
    """The figures of `sweep` as a Markdown table."""
    names = list(next(iter(found.values()))[0]["speeds"])
    of_limits = list(next(iter(found.values()))[0]["limits"])
    heads = ["samples/s against", *names, *of_limits]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for axis, points in found.items():
        for point in points:
            cells = [f"{point['speeds'][name]:,.0f}" for name in names]
            cells += [f"{point['limits'][name]:,.0f}" for name in of_limits]
            lines.append(f"| {axis}: {point['value']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sweep_figure(found: dict[str, list[dict[str, Any]]]) -> Any:
    """The same as a picture, an axes for each."""
    panels = {
        axis: {
            name: [(point["value"], (point["speeds"] | point["limits"])[name]) for point in points]
            for name in [*points[0]["speeds"], *points[0]["limits"]]
        }
        for axis, points in found.items()
    }
    return plots.panels(panels, y_label="samples per second")


def random_conditions(model: WaveNetConfig, batch: int, length: int) -> dict[str, Any]:
    """What a model takes, `global` and `local`, of noise; None where it takes none."""
    rng = np.random.default_rng(0)

    def make(condition: ConditionConfig | None, leading: tuple[int, ...]) -> Any:
        if condition is None:
            return None
        if condition.kind == "labels":
            return rng.integers(0, condition.size, leading).astype(np.int32)
        values = rng.normal(0, 1, (*leading, condition.size))
        if condition.kind == "tags":
            return (values > 1).astype(np.int32)
        return values.astype(np.float32)

    local, frames = model.local_condition, 0
    if local is not None:
        frames = -(-length // local.hop_samples) + 2 * local.context_frames
    return {
        "global": make(model.global_condition, (batch,)),
        "local": make(local, (batch, frames)),
    }
