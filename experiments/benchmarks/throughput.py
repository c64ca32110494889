"""Throughput of training and of recognition, with their rooflines."""

from typing import Any

import jax
import ml_collections
import numpy as np

from experiments.benchmarks import roofline, synthetic
from wavenet_jax import WaveNetConfig, receptive_field, training
from wavenet_jax.recognition import posteriors
from wavenet_jax.training import TrainingConfig

RECOGNIZED_S = 10


def training_speed(
    config: ml_collections.ConfigDict,
    model: WaveNetConfig,
    settings: TrainingConfig,
    state: training.TrainState,
    repeats: int,
) -> tuple[float, int]:
    """The speed of whole training steps, context and optimiser included.

    Args:
      config: with the batch and the segment of a step.
      model: the model's config.
      settings: of the training.
      state: of the training; its buffers are donated.
      repeats: timed steps.

    Returns:
      Scored samples a second, and the bytes of temporary memory of a step on each device.
    """
    state = training.replicate(state)
    batch, segment = config.batch_size, config.segment_samples
    right = right_context_samples(model)
    unit = model.recognizer.hop_samples if model.recognizer else 1
    length = -(-(receptive_field(model) + right) // unit) * unit + segment + right
    rng = np.random.default_rng(0)
    windows = {
        "samples": rng.normal(0, 3000, (batch, length)).astype(np.int16),
        "mask": np.ones((batch, segment), bool),
    }
    if model.recognizer is not None:
        frames = segment // model.recognizer.hop_samples
        windows["frames"] = np.ones((batch, frames + 2 * model.recognizer.context_frames), bool)
        classes = rng.integers(0, model.recognizer.num_classes, (batch, frames))
        windows["classes"] = classes.astype(np.int32)
    conditions = synthetic.conditions(model, batch, length)
    windows |= {name: value for name, value in conditions.items() if value is not None}
    batches = training.split_over_devices(windows, jax.local_device_count())
    step = training.make_parallel_step(model, settings).lower(state, batches).compile()
    states = [state]

    def run():
        states[0], metrics = step(states[0], batches)
        return metrics

    seconds = roofline.median_s(run, repeats)
    return batch * segment / seconds, step.memory_analysis().temp_size_in_bytes


def training_figures(
    config: ml_collections.ConfigDict, model: WaveNetConfig, peak_rate: float, repeats: int
) -> list[dict[str, Any]]:
    """Training and its rooflines; the products of conditions and context stacks are not counted.

    Args:
      config: with the batch and the segment of a step, and the training's fields.
      model: the model's config.
      peak_rate: of `roofline.peak_gemm_rate`.
      repeats: timed runs of each.
    """
    settings = TrainingConfig(num_steps=1000, **config.training.to_dict())
    state = training.init_state(model, settings)
    speed, _ = training_speed(config, model, settings, state, repeats)
    batch, segment = config.batch_size, config.segment_samples
    left = np.cumsum([(model.kernel_size - 1) * d for d in model.dilations])
    outputs = segment + 2 * right_context_samples(model)
    lengths = outputs + left[-1] - left
    shapes = roofline.gemm_shapes(model, lambda i: batch * int(lengths[i]), batch * outputs)
    limits = {
        "model GEMM": batch * segment / roofline.gemms_s(shapes, repeats, backward=True),
        "peak GEMM": batch * segment * peak_rate / (3 * roofline.multiply_adds(shapes)),
    }
    return [roofline.compared(f"training, {batch} x {segment}", speed, limits)]


def right_context_samples(model: WaveNetConfig) -> int:
    """The samples after a segment that a recognizer's outputs depend on; 0 of other models."""
    return model.recognizer.context_frames * model.recognizer.hop_samples if model.recognizer else 0


def recognition_figures(
    config: ml_collections.ConfigDict,
    model: WaveNetConfig,
    params: Any,
    batch: int,
    peak_rate: float,
    repeats: int,
) -> list[dict[str, Any]]:
    """Recognition of recordings of ten seconds, from samples to posteriors, and its rooflines.

    The products of the classifier, one a frame, are not counted.

    Returns:
      As `roofline.compared`, and `times_real_time`.
    """
    rng, length = np.random.default_rng(0), RECOGNIZED_S * config.sample_rate_hz
    recordings = [
        {"recording": i, "samples": rng.normal(0, 3000, length).astype(np.int16)}
        for i in range(batch)
    ]
    seconds = roofline.median_s(
        lambda: [
            each.log_probs
            for each in posteriors.posteriors(model, params, recordings, batch_size=batch)
        ],
        repeats,
    )
    chunk = batch * posteriors.CHUNK_SAMPLES
    *shapes, _, _ = roofline.gemm_shapes(model, lambda _: chunk, chunk)
    limits = {
        "model GEMM": chunk / roofline.gemms_s(shapes, repeats, backward=False),
        "peak GEMM": chunk * peak_rate / roofline.multiply_adds(shapes),
    }
    speed = batch * length / seconds
    figures = roofline.compared(f"recognition, batch {batch}", speed, limits)
    return [figures | {"times_real_time": speed / config.sample_rate_hz}]


def as_table(rows: list[dict[str, Any]]) -> str:
    """Figures of `roofline.compared` as a Markdown table."""
    lines = [
        "| samples/s | measured | " + " | ".join(f"limit: {n}" for n in roofline.LIMITS) + " |",
        "|---|---" + "|---" * len(roofline.LIMITS) + "|",
    ]
    for row in rows:
        cells = [
            f"{row['limits'][n]:,.0f} ({row['share'][n]:.0%})" if n in row["limits"] else ""
            for n in roofline.LIMITS
        ]
        name = row["name"]
        if "times_real_time" in row:
            name += f" ({row['times_real_time']:.0f} times real time)"
        lines.append(f"| {name} | {row['samples_per_s']:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)
