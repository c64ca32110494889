"""The first state."""

import dataclasses

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_training import CONFIG, TRAINING, loss_and_gradients, make_batch

from wavenet_jax import WaveNetConfig, training


def test_the_first_loss_is_that_of_a_uniform_guess() -> None:
    state = training.init_state(CONFIG, TRAINING)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.params))
    value, _ = loss_and_gradients()(state.params, make_batch())
    assert float(value) == pytest.approx(8.0, abs=1e-5)
    assert int(state.step) == 0


def test_the_first_state_is_a_function_of_the_seed() -> None:
    config = WaveNetConfig(dilations=(1,), **grid.SMALL)
    states = [
        training.init_state(config, dataclasses.replace(TRAINING, seed=seed)) for seed in (3, 3, 4)
    ]
    leaves = [jax.tree.leaves(state) for state in states]
    assert all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[1], strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(leaves[0], leaves[2], strict=True))
