"""Gradient accumulation: the step of the whole batch, in less memory."""

import dataclasses
import functools
from typing import Any

import grid
import jax
import numpy as np
import pytest
from toy_training import TRAINING, assert_trees_equal

from wavenet_jax import InputError, RecognizerConfig, WaveNetConfig, receptive_field, training
from wavenet_jax.conditioning import NO_LABEL
from wavenet_jax.training import ModelConfig

WIDE = WaveNetConfig(
    dilations=(1, 2, 4), **(grid.SMALL | {"residual_channels": 32, "gate_channels": 32})
)
"""A model with fused layers on a CPU."""

MODELS: dict[str, ModelConfig] = {
    "plain": grid.CONFIGS["plain"],
    "tags, linear": grid.CONFIGS["tags, linear"],
    "fused": WIDE,
    **grid.RECOGNIZERS,
}


def batch_for(model: ModelConfig, rows: int = 8) -> dict[str, np.ndarray]:
    """Noise. The numbers of scored samples, frames and classes differ by row; the second has no
    sample."""
    wavenet = model.wavenet if isinstance(model, RecognizerConfig) else model
    recognizer = model if isinstance(model, RecognizerConfig) else None
    random, hop = np.random.default_rng(0), model.hop_samples
    unit = recognizer.window_hop_samples if recognizer else hop
    segment, lookahead = 12 * hop, recognizer.context_samples if recognizer else 0
    context = -(-(receptive_field(wavenet) + lookahead) // unit) * unit
    scored = random.integers(1, segment + 1, (rows, 1))
    scored[1] = 0
    length = context + segment
    batch = {
        "samples": random.normal(0, 5000, (rows, length + lookahead)).astype(np.int16),
        "mask": np.arange(segment) < scored,
        **grid.conditions_for(wavenet, rows, length),
    }
    if "local" in batch and (reach := wavenet.local_condition.context_frames):
        batch["local"] = np.pad(batch["local"], ((0, 0), (reach, reach), (0, 0)))
    if recognizer is not None:
        around, frames = recognizer.context_frames, 12
        batch["frames"] = np.ones((rows, frames + 2 * around), bool)
        numbers = random.integers(1, 5, (rows, 1))
        classes = random.integers(0, recognizer.num_classes, (rows, frames))
        batch["classes"] = np.where(np.arange(frames) < numbers, classes, -1).astype(np.int32)
    return batch


def trained(
    model: ModelConfig, config: training.TrainingConfig, devices: int, steps: int = 4
) -> tuple[Any, list[dict[str, float]]]:
    """The state after some steps on one batch, and the metrics of each."""
    step = training.make_parallel_step(model, config)
    state = training.init_state(model, config)
    state = state.replace(params=grid.random_params(model))
    batch, metrics = training.split_over_devices(batch_for(model), devices), []
    for _ in range(steps):
        state, of_step = step(state, batch)
        metrics.append({name: float(value) for name, value in of_step.items()})
    return state, metrics


@pytest.mark.parametrize(
    ("name", "devices", "number"),
    [
        pytest.param("tags, linear", 2, 4, marks=pytest.mark.long),
        ("fused", 1, 2),
        pytest.param("ctc, context", 2, 2, marks=pytest.mark.long),
    ],
)
def test_the_step_is_that_of_the_whole_batch(name: str, devices: int, number: int) -> None:
    """Losses, gradients and moving averages of several updates, though the parts have unequally
    many scored samples."""
    model, config = MODELS[name], dataclasses.replace(TRAINING, clip_norm=1e9)
    state, metrics = trained(model, config, devices)
    config = dataclasses.replace(config, num_microbatches=number)
    in_parts, metrics_of_parts = trained(model, config, devices)
    for whole, parts in zip(metrics, metrics_of_parts, strict=True):
        assert parts == pytest.approx(whole, rel=1e-5)
    # Adam's first moment is a sum of the gradients.
    assert_trees_equal(in_parts.opt_state[1][0].mu, state.opt_state[1][0].mu, rtol=2e-5)
    assert_trees_equal(in_parts.ema_params, state.ema_params, rtol=2e-5)
    assert metrics[-1]["bits_per_sample"] < metrics[0]["bits_per_sample"]


def test_summands_of_a_recognizer() -> None:
    """Scored samples, and frames or phones that have a class; the padding has none."""
    for model in grid.RECOGNIZERS.values():
        batch = batch_for(model)
        batch["classes"][0, -1] = NO_LABEL
        name = "bits_per_frame" if model.loss == "frames" else "bits_per_phone"
        classes = int(np.sum(batch["classes"] >= 0))
        expected = {"bits_per_sample": int(batch["mask"].sum()), name: classes}
        assert training.num_summands(model, batch) == expected
        assert classes < batch["classes"].size


def test_a_batch_that_does_not_divide() -> None:
    config = dataclasses.replace(TRAINING, num_microbatches=3)
    with pytest.raises(InputError, match="A device has 4 of the .* num_microbatches=3: "):
        trained(MODELS["plain"], config, devices=2)


def temporary_bytes(number: int) -> int:
    config = dataclasses.replace(TRAINING, num_microbatches=number, fused="off")
    model = dataclasses.replace(MODELS["plain"], skip_channels=64)
    batch = training.split_over_devices(batch_for(model, rows=32), 1)
    batch["samples"] = np.resize(batch["samples"], (1, 32, 500))
    batch["mask"] = np.ones((1, 32, 480), bool)
    state = jax.eval_shape(functools.partial(training.init_state, model, config))
    step = training.make_parallel_step(model, config)
    return step.lower(state, batch).compile().memory_analysis().temp_size_in_bytes


def test_more_parts_take_less_memory() -> None:
    whole, quarters = map(temporary_bytes, (1, 4))
    assert quarters < whole / 3
