"""Throughput of training and of recognition, with their rooflines."""

import dataclasses
from typing import Any, Literal

import jax
import numpy as np

from experiments.benchmarks import roofline, synthetic
from experiments.common.model import receptive_field_of
from experiments.configs.schema import ExperimentConfig
from wavenet_jax import AutoencoderConfig, RecognizerConfig, fused, receptive_field, training
from wavenet_jax.recognition import posteriors
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training import ModelConfig, TrainingConfig, fusing

RECOGNIZED_S = 10


def training_speed(
    config: ExperimentConfig,
    model: ModelConfig,
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
    wavenet, recognizer = training.wavenet_of(model), _recognizer_of(model)
    autoencoder = model if isinstance(model, AutoencoderConfig) else None
    right = autoencoder.margin_samples if autoencoder else right_context_samples(model)
    unit = recognizer.hop_samples if recognizer else wavenet.hop_samples if autoencoder else 1
    field = max(receptive_field(wavenet), receptive_field_of(model))
    length = -(-(field + right) // unit) * unit + segment + right
    random = np.random.default_rng(0)
    windows = {
        "samples": random.normal(0, 3000, (batch, length)).astype(np.int16),
        "mask": np.ones((batch, segment), bool),
    }
    if recognizer is not None:
        frames = segment // recognizer.hop_samples
        windows["frames"] = np.ones((batch, frames + 2 * recognizer.context_frames), bool)
        classes = random.integers(0, recognizer.num_classes, (batch, frames))
        windows["classes"] = classes.astype(np.int32)
    conditions = synthetic.conditions(wavenet, batch, length)
    if autoencoder is not None:
        conditions["local"] = None
        windows["frames"] = np.ones((batch, autoencoder.num_frames(length)), bool)
    windows |= {name: value for name, value in conditions.items() if value is not None}
    batches = training.split_over_devices(windows, jax.local_device_count())
    beside: tuple[Any, ...] = ()
    if isinstance(model, StudentConfig):
        teacher = training.init_variables(model.teacher, jax.random.key(0))
        beside = (training.replicate(teacher),)
    step = training.make_parallel_step(model, settings).lower(state, batches, *beside).compile()
    states = [state]

    def run():
        states[0], metrics = step(states[0], batches, *beside)
        return metrics

    seconds = roofline.median_s(run, repeats)
    return batch * segment / seconds, step.memory_analysis().temp_size_in_bytes


def training_figures(
    config: ExperimentConfig, model: ModelConfig, peak_rate: float, repeats: int
) -> list[dict[str, Any]]:
    """Training and its rooflines; the products of conditions, context stacks and encoders are
    not counted.

    On a CPU with XLA's layers, with the fused layers, and with products of bfloat16, if the model
    and the CPU allow them.

    Args:
      config: with the batch and the segment of a step, and the training's fields.
      model: the model's config.
      peak_rate: of `roofline.peak_gemm_rate`.
      repeats: timed runs of each.
    """
    batch, segment, wavenet = config.batch_size, config.segment_samples, training.wavenet_of(model)
    left = np.cumsum([(wavenet.kernel_size - 1) * d for d in wavenet.dilations])
    outputs = segment + 2 * right_context_samples(model)
    lengths = outputs + left[-1] - left
    shapes = roofline.gemm_shapes(wavenet, lambda i: batch * int(lengths[i]), batch * outputs)
    limits = {
        "model GEMM": batch * segment / roofline.gemms_s(shapes, repeats, backward=True),
        "peak GEMM": batch * segment * peak_rate / (3 * roofline.multiply_adds(shapes)),
    }
    rows = []
    for choice in training_choices(model):
        settings = dataclasses.replace(config.training, fused=choice)
        state = training.init_state(model, settings)
        speed, _ = training_speed(config, model, settings, state, repeats)
        name = f"training, {batch} x {segment}" + _CHOICES[choice]
        rows.append(roofline.compared(name, speed, limits))
    return rows


Choice = Literal["off", "float32", "bfloat16"]
"""A value of `TrainingConfig.fused`."""

_CHOICES: dict[Choice, str] = {
    "off": "",
    "float32": ", fused, float32",
    "bfloat16": ", fused, bfloat16",
}
"""As rows name them."""


def training_choices(model: ModelConfig) -> list[Choice]:
    """The values that differ for a model on this machine."""
    if fusing.unsupported_reason(model, jax.default_backend()):
        return ["off"]
    return ["off", "float32", "bfloat16"] if fused.has_bfloat16() else ["off", "float32"]


def right_context_samples(model: ModelConfig) -> int:
    """The samples after a segment that a recognizer's outputs depend on; 0 of other models."""
    return model.context_samples if isinstance(model, RecognizerConfig) else 0


def _recognizer_of(model: ModelConfig) -> RecognizerConfig | None:
    return model if isinstance(model, RecognizerConfig) else None


def recognition_figures(
    config: ExperimentConfig,
    model: RecognizerConfig,
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
    random, length = np.random.default_rng(0), RECOGNIZED_S * config.sample_rate_hz
    recordings = [
        {"recording": i, "samples": random.normal(0, 3000, length).astype(np.int16)}
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
    *shapes, _, _ = roofline.gemm_shapes(model.wavenet, lambda _: chunk, chunk)
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
