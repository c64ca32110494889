"""Generation speed and latency of each backend at each of its precisions.

Backends are measured in turn, one round after the other, so that a machine that slows down slows
all of them.
"""

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import roofline, synthetic
from wavenet_jax import WaveNet, WaveNetConfig, sampling, training
from wavenet_jax.sampling import cpu, pallas, scan
from wavenet_jax.sampling.precision import quantize_weights
from wavenet_jax.training import TrainingConfig

CHUNK_SAMPLES = 256
"""Of the chunks whose latency is measured."""

DTYPES = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}
"""By precision, a type of numpy with as many bits."""


class BackendConfig(NamedTuple):
    """A backend and the precision of its weights."""

    backend: sampling.Backend
    precision: sampling.Precision

    @property
    def name(self) -> str:
        return f"{self.backend}, {self.precision}" if self.backend == "cpu" else self.backend


def backend_configs(model: WaveNetConfig) -> list[BackendConfig]:
    found = [BackendConfig("scan", "float32")]
    if sampling.supports(model, "cpu", None) and not model.context_stacks:
        found += [BackendConfig("cpu", precision) for precision in sampling.PRECISIONS]
    if sampling.supports(model, "pallas", None):
        found.append(BackendConfig("pallas", "float32"))
    return found


def speeds(
    model: WaveNetConfig, params: Any, batch: int, among: Sequence[BackendConfig], repeats: int
) -> dict[BackendConfig, float]:
    """Samples a second of the whole batch, of each backend config; the median of rounds."""
    steps = max(200, 1600 // batch)
    steps = -(-steps // model.hop_samples) * model.hop_samples
    runs = {each: _prepared(model, params, batch, steps, each) for each in among}
    seconds: dict[BackendConfig, list[float]] = {each: [] for each in among}
    for round_ in range(repeats + 1):
        for each, run in runs.items():
            begun_s = time.perf_counter()
            run()
            if round_:  # the first compiles
                seconds[each].append(time.perf_counter() - begun_s)
    return {each: batch * steps / statistics.median(times) for each, times in seconds.items()}


def _prepared(
    model: WaveNetConfig, params: Any, batch: int, steps: int, config: BackendConfig
) -> Callable[[], Any]:
    """A function that generates `steps` samples more."""
    net, conditions = WaveNet(model), synthetic.conditions(model, batch, steps)
    keys = sampling.utterance_keys(0, range(batch))
    uniforms = sampling.uniforms(keys, jnp.int32(0), steps)
    given = {f"{name}_condition": value for name, value in conditions.items()}
    begin = functools.partial(
        net.apply, method="initial_state", global_condition=given["global_condition"]
    )
    held: list[Any] = [jax.jit(begin, static_argnums=1)(params, batch)]
    if config.backend != "cpu":
        make = {"scan": scan, "pallas": pallas}[config.backend].generate_chunk
        chunk = jax.jit(
            lambda params, state: make(net, params, state, uniforms, jnp.float32(1), **given),
            donate_argnums=1,
        )

        def run_on_device() -> None:
            samples, held[0] = chunk(params, held[0])
            jax.block_until_ready(samples)

        return run_on_device
    weights = cpu.pack(model, quantize_weights(params, config.precision), config.precision)
    projected: Any = net.apply(params, *conditions.values(), 0, method="project_conditions")
    numbers, rows = np.asarray(uniforms), np.asarray(projected[0])
    held[0] = cpu.pack_state(held[0], config.precision)

    def run_cpu() -> None:
        _, held[0] = cpu.generate_chunk(
            model, weights, held[0], numbers, 1.0, rows, projected[1], 0
        )

    return run_cpu


def state_bytes(model: WaveNetConfig, batch: int) -> int:
    """The bytes of the state of a batch."""
    net = WaveNet(model)
    conditions = synthetic.conditions(model, batch, 1)

    def begin(params: Any) -> Any:
        return net.apply(
            params, batch, global_condition=conditions["global"], method="initial_state"
        )

    params = training.init_state(model, TrainingConfig(num_steps=1)).params
    return sum(
        leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(begin, params))
    )


def generation_figures(
    model: WaveNetConfig, params: Any, batch: int, peak_rate: float, repeats: int
) -> list[dict[str, Any]]:
    """Each backend config and its rooflines.

    Args:
      model: the model's config.
      params: its variables.
      batch: utterances at once.
      peak_rate: of `roofline.peak_gemm_rate`.
      repeats: timed runs of each.
    """
    shapes = roofline.gemm_shapes(model, lambda _: batch, batch)
    num_weights = roofline.multiply_adds_per_sample(model)
    figures = []
    measured = speeds(model, params, batch, backend_configs(model), repeats)
    model_gemm = batch / roofline.step_gemms_s(shapes, repeats)
    for config, speed in measured.items():
        read_s = roofline.weights_read_s(num_weights, repeats, DTYPES[config.precision])
        limits = {
            "weights read": batch / read_s,
            "model GEMM": model_gemm,
            "peak GEMM": batch * peak_rate / roofline.multiply_adds(shapes),
        }
        name = f"generation, batch {batch}, {config.name}"
        figures.append(roofline.compared(name, speed, limits))
    return figures


def latency(
    model: WaveNetConfig, params: Any, config: BackendConfig, sample_rate_hz: int, repeats: int
) -> dict[str, Any]:
    """The latency of live generation of one stream, once the programs are compiled.

    Returns:
      The `name` of the backend config; `first_ms`, from the call to the first chunk; `chunk_ms`,
      from one chunk to the next, whose conditions arrive with it; and `sounds_ms`, the duration
      of a chunk's sound.
    """
    chunk = -(-CHUNK_SAMPLES // model.hop_samples) * model.hop_samples
    local = model.local_condition
    conditions = synthetic.conditions(model, 1, 8 * chunk)
    frames = conditions["local"]
    frames_at_once = chunk // local.hop_samples if local else 1

    def arriving():
        for first in range(0, frames.shape[1], frames_at_once):
            yield frames[:, first : first + frames_at_once]

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
                backend=config.backend,
                precision=config.precision,
            )
        ):
            now_s = time.perf_counter()
            if round_:  # the first compiles
                (between if i else firsts).append(now_s - begun_s)
            begun_s = now_s
    return {
        "name": config.name,
        "first_ms": 1000 * statistics.median(firsts),
        "chunk_ms": 1000 * statistics.median(between),
        "sounds_ms": 1000 * chunk / sample_rate_hz,
    }


def latency_table(rows: Sequence[dict[str, Any]]) -> str:
    """Figures of `latency` as a Markdown table."""
    lines = [
        "| live, one stream | first chunk, ms | each chunk after it, ms | sounds, ms |",
        "|---|---|---|---|",
    ]
    for row in rows:
        times = " | ".join(f"{row[name]:.1f}" for name in ("first_ms", "chunk_ms", "sounds_ms"))
        lines.append(f"| {row['name']} | {times} |")
    return "\n".join(lines)
