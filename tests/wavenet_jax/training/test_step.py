"""The step on one device and on eight."""

import dataclasses
import functools

import grid
import jax
import numpy as np
import pytest
from toy_training import (
    CONFIG,
    TRAINING,
    assert_trees_equal,
    loss_and_gradients,
    make_batch,
    make_state,
)

from wavenet_jax import receptive_field, training
from wavenet_jax.training import TrainingConfig


def test_eight_devices_make_the_step_of_one() -> None:
    """Gradients to float32 rounding, though each device scores another number of samples."""
    assert jax.local_device_count() == 8
    config = dataclasses.replace(TRAINING, num_steps=100, clip_norm=1e9)
    batch = make_batch()
    assert len(set(batch["mask"].sum(axis=1))) > 4
    one_step = jax.jit(functools.partial(training.train_step, CONFIG, config, axis=None))
    one, one_metrics = one_step(make_state(), batch)
    eight, eight_metrics = training.make_parallel_step(CONFIG, config)(
        make_state(), training.split_over_devices(batch, 8)
    )
    value, gradients = loss_and_gradients()(make_state().params, batch)
    for state, metrics in ((one, one_metrics), (eight, eight_metrics)):
        # Sums of float32 in another order.
        assert float(metrics["bits_per_sample"]) == pytest.approx(float(value), rel=1e-5)
        # After one step from zero, Adam's first moment is a tenth of the gradient.
        first_moment = state.opt_state[1][0].mu
        of_adam = jax.tree.map(lambda m: np.asarray(m) / np.float32(0.1), first_moment)
        assert_trees_equal(of_adam, gradients, rtol=2e-5)
        assert int(state.step) == 1
    assert float(one_metrics["gradient_norm"]) == pytest.approx(
        float(eight_metrics["gradient_norm"]), rel=1e-5
    )


def test_gradients_are_clipped_and_the_norm_is_that_before() -> None:
    config = dataclasses.replace(TRAINING, clip_norm=1e-3)
    step = jax.jit(functools.partial(training.train_step, CONFIG, config, axis=None))
    state, metrics = step(make_state(), make_batch())
    moments = jax.tree.leaves(state.opt_state[1][0].mu)
    norm = np.sqrt(sum(float((leaf**2).sum()) for leaf in moments))
    assert norm == pytest.approx(1e-4, rel=1e-3)
    assert float(metrics["gradient_norm"]) > 0.01


def test_the_moving_average() -> None:
    """m <- d m + (1 - d) p with d = min(ema_decay, (1 + n) / (10 + n)) at step n = 0, 1, ..."""
    state = make_state()
    mean = jax.tree.map(np.asarray, state.params)
    first = mean
    batch = training.split_over_devices(make_batch(), 8)
    for n in range(3):
        state, _ = training.make_parallel_step(CONFIG, TRAINING)(state, batch)
        decay = min(0.9, (1 + n) / (10 + n))
        mean = jax.tree.map(
            lambda m, p, decay=decay: decay * m + (1 - decay) * np.asarray(p), mean, state.params
        )
        assert_trees_equal(state.ema_params, mean, rtol=1e-5)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), mean, first)
    assert max(jax.tree.leaves(moved)) > 1e-3
    decay_of_step = [min(0.9, (1 + n) / (10 + n)) for n in (0, 80, 10**6)]
    assert decay_of_step == [0.1, 0.9, 0.9]


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_the_learning_rate_rises_and_falls(decay: str) -> None:
    config = TrainingConfig(
        num_steps=1000, warmup_steps=100, learning_rate=1e-3, decay=decay, end_learning_rate=1e-5
    )
    schedule = training.learning_rate_schedule(config)
    assert float(schedule(0)) == 0.0
    assert float(schedule(50)) == pytest.approx(5e-4)
    assert float(schedule(100)) == pytest.approx(1e-3)
    assert float(schedule(550)) == pytest.approx((1e-3 + 1e-5) / 2)
    quarter = {"cosine": 0.75 + 0.25 * (2**0.5 - 1), "linear": 0.75}[decay]
    assert float(schedule(325)) == pytest.approx(1e-5 + quarter * (1e-3 - 1e-5))
    assert float(schedule(1000)) == pytest.approx(1e-5)
    falling = [float(schedule(step)) for step in range(100, 1001, 50)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("decay", ["cosine", "linear"])
@pytest.mark.parametrize(("num_steps", "warmup_steps"), [(1, 100), (5, 100), (5, 0)])
def test_short_runs_learn_too(num_steps: int, warmup_steps: int, decay: str) -> None:
    schedule = training.learning_rate_schedule(
        TrainingConfig(
            num_steps=num_steps, warmup_steps=warmup_steps, learning_rate=1e-3, decay=decay
        )
    )
    rates = [float(schedule(step)) for step in range(num_steps)]
    assert max(rates) == pytest.approx(1e-3)


def test_replicas_draw_their_own_dropout() -> None:
    """The same window on eight devices is not eight times the same loss."""
    config = dataclasses.replace(CONFIG, dropout=0.5)
    window = jax.tree.map(lambda x: x[:1], make_batch())

    def loss(copies: int) -> float:
        batch = jax.tree.map(lambda x: np.stack([x] * copies), window)
        step = training.make_parallel_step(config, TRAINING)
        return float(step(make_state(), batch)[1]["bits_per_sample"])

    assert loss(8) != pytest.approx(loss(1), rel=1e-4)


@pytest.mark.parametrize(
    "name", grid.each(["contexts, speaker, transposed", "tags, linear", "transposed"])
)
def test_any_model_learns(name: str) -> None:
    """Ten steps on one batch score less than none; windows carry the frames' margins."""
    config = grid.CONFIGS[name]
    local = config.local_condition
    context = -(-receptive_field(config) // config.hop_samples) * config.hop_samples
    segment = 2 * config.hop_samples
    batch = {
        "samples": np.random.default_rng(0).normal(0, 500, (4, context + segment)).astype(np.int16),
        "mask": np.ones((4, segment), bool),
        **grid.conditions_for(config, 4, context + segment),
    }
    batch["local"] = np.pad(batch["local"], ((0, 0), (local.context_frames,) * 2, (0, 0)))
    step = jax.jit(functools.partial(training.train_step, config, TRAINING, axis=None))
    state = training.init_state(config, TRAINING)
    scores = []
    for _ in range(10):
        state, metrics = step(state, batch)
        scores.append(float(metrics["bits_per_sample"]))
    assert scores[-1] < scores[0] - 0.1
