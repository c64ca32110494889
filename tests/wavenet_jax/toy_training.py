"""A small model's training: a batch, a state and a comparison of trees."""

import dataclasses
import functools
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import WaveNetConfig, training
from wavenet_jax.training import TrainingConfig

CONFIG = grid.CONFIGS["all"]
HOP = CONFIG.hop_samples
CONTEXT = 20  # receptive field 17, in whole frames
SEGMENT = 12
TRAINING = TrainingConfig(num_steps=20, warmup_steps=4, learning_rate=1e-2, ema_decay=0.9)
FIVE_STEPS = dataclasses.replace(TRAINING, num_steps=5)


def make_batch(rows: int = 8, seed: int = 0, context: int = CONTEXT) -> dict[str, np.ndarray]:
    """Noise; the rows have unequally many scored samples, the second none."""
    random = np.random.default_rng(seed)
    scored = random.integers(1, SEGMENT + 1, rows)
    scored[1] = 0
    return {
        "samples": random.normal(0, 5000, (rows, context + SEGMENT)).astype(np.int16),
        "mask": np.arange(SEGMENT) < scored[:, None],
        **grid.conditions_for(CONFIG, rows, context + SEGMENT, seed),  # without reach
    }


def make_state(config: WaveNetConfig = CONFIG, seed: int = 0) -> training.TrainState:
    """As training begins, but for random parameters."""
    params = grid.random_params(config, seed)
    return training.TrainState(
        step=jnp.int32(0),
        params=params,
        ema_params=jax.tree.map(jnp.copy, params),
        opt_state=training.make_optimizer(TRAINING).init(params),
        key=jax.random.key_data(jax.random.key(0)),
    )


def assert_trees_equal(first: Any, second: Any, rtol: float) -> None:
    def equal(path, one, other):
        size = max(float(np.abs(other).max()), 1e-6)
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * size, err_msg=name)

    jax.tree_util.tree_map_with_path(equal, first, second)


@functools.cache
def loss_and_gradients() -> Any:
    def loss(params, batch):
        terms, counts = (
            training.losses(CONFIG, params, batch),
            training.num_summands(CONFIG, batch),
        )
        return terms["bits_per_sample"] / counts["bits_per_sample"]

    return jax.jit(jax.value_and_grad(loss))
