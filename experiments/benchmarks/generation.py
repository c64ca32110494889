"""Generation speed and latency of each backend at each of its precisions.

Backends are measured in turn, one round after the other, so that a machine that slows down slows
all of them.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from experiments.benchmarks import roofline, synthetic
from wavenet_jax import WaveNetConfig, sampling
from wavenet_jax.sampling import BACKENDS, ChunkConditions, Precision
from wavenet_jax.student.flows import GeneratorConfig

CHUNK_SAMPLES = 256
"""Of the chunks whose latency is measured."""


class BackendConfig(NamedTuple):
    """A backend, by its name, and the precision of its weights."""

    backend: str
    precision: Precision

    @property
    def name(self) -> str:
        """The backend, and the precision if that changes how the backend keeps weights."""
        keeps_one = len(set(BACKENDS[self.backend].weight_dtypes.values())) == 1
        return self.backend if keeps_one else f"{self.backend}, {self.precision}"

    @property
    def weight_dtype(self) -> Any:
        """The type, or one of as many bits, as which the backend keeps a weight."""
        return BACKENDS[self.backend].weight_dtypes[self.precision]


def oracle() -> BackendConfig:
    """The plain backend, which the others must agree with, in float32."""
    return BackendConfig(next(n for n, each in BACKENDS.items() if not each.is_fused), "float32")


def backend_configs(model: WaveNetConfig) -> list[BackendConfig]:
    """The backends that support a model on one of these devices, the plain one first, each at the
    precisions that it keeps weights of different types for."""
    by_dtype: dict[Any, BackendConfig] = {}
    for name, backend in sorted(BACKENDS.items(), key=lambda item: item[1].is_fused):
        if not backend.unsupported_reason(model, _devices()):
            for precision, dtype in backend.weight_dtypes.items():
                by_dtype.setdefault((name, dtype), BackendConfig(name, precision))
    return list(by_dtype.values())


def _devices() -> list[jax.Device]:
    """The one device that generates, as the rooflines are those of one."""
    return jax.local_devices()[:1]


def speeds(
    model: WaveNetConfig, params: Any, batch: int, among: Sequence[BackendConfig], repeats: int
) -> dict[BackendConfig, float]:
    """Samples a second of the whole batch, of each backend config; the median of rounds."""
    steps = steps_of(model, batch)
    runs = {each: prepared_run(model, params, batch, steps, each) for each in among}
    seconds: dict[BackendConfig, list[float]] = {each: [] for each in among}
    for round_ in range(repeats + 1):
        for each, run in runs.items():
            begun_s = time.perf_counter()
            run()
            if round_:  # the first compiles
                seconds[each].append(time.perf_counter() - begun_s)
    return {each: batch * steps / statistics.median(times) for each, times in seconds.items()}


def steps_of(model: GeneratorConfig, batch: int) -> int:
    """Samples of each utterance of a timed run, in whole frames."""
    return -(-max(200, 1600 // batch) // model.hop_samples) * model.hop_samples


def prepared_run(
    model: GeneratorConfig,
    params: Any,
    batch: int,
    steps: int,
    config: BackendConfig,
    devices: Sequence[jax.Device] | None = None,
) -> Callable[[], Any]:
    """A function that generates `steps` samples more, by default on one device."""
    conditions = _conditions(model, batch, steps)
    uniforms = sampling.uniforms(sampling.utterance_keys(0, range(batch)), 0, steps)
    draws = sampling.make_draws(uniforms)
    devices = _devices() if devices is None else devices
    prepared = BACKENDS[config.backend].prepare(model, params, config.precision, devices)
    states = [prepared.initial_state(batch, conditions.global_condition)]

    def run() -> None:
        _, states[0] = prepared.generate_chunk(states[0], draws, conditions)

    return run


def _conditions(model: GeneratorConfig, batch: int, length: int) -> ChunkConditions:
    given = synthetic.conditions(model, batch, length)
    return ChunkConditions(given["global"], given["local"])


def state_bytes(model: WaveNetConfig, params: Any, batch: int) -> int:
    """The bytes of the state of a batch in the plain backend."""
    plain = oracle()
    prepared = BACKENDS[plain.backend].prepare(model, params, plain.precision, _devices())
    state = prepared.initial_state(batch, _conditions(model, batch, 1).global_condition)
    return sum(leaf.nbytes for leaf in jax.tree.leaves(state))


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
        read_s = roofline.weights_read_s(num_weights, repeats, config.weight_dtype)
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
