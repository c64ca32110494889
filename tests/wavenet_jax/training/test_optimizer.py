"""Which parameters Muon takes, what it makes of a gradient, and the layout of the states."""

import dataclasses
import functools
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from optax.contrib import MuonDimensionNumbers
from toy_training import CONFIG, TRAINING, make_state

from wavenet_jax import training
from wavenet_jax.training import weight_norm
from wavenet_jax.training.optimizer import inner_kernels, make_optimizer

RATE, MATRIX_RATE = 0.5, 0.25
MUON = dataclasses.replace(
    TRAINING,
    optimizer="muon",
    learning_rate=RATE,
    matrix_learning_rate=MATRIX_RATE,
    end_learning_rate=RATE,
    warmup_steps=0,
    clip_norm=1e9,
)


@functools.cache
def first_update(config: training.TrainingConfig) -> dict[str, np.ndarray]:
    """Of random gradients, from the first state; constant rates."""
    params = make_state().params
    optimizer = make_optimizer(config)
    updates, _ = optimizer.update(grid.random_params(CONFIG, 7), optimizer.init(params), params)
    return {name: np.asarray(x) for name, x in flat(updates).items()}


def flat(tree: Any) -> dict[str, Any]:
    return traverse_util.flatten_dict(tree, sep="/")


def test_muon_is_for_the_kernels_between_hidden_layers() -> None:
    found = flat(inner_kernels(make_state().params))
    names = [name for name, axes in found.items() if axes is not None]
    blocks = [f"params/stack/blocks_{i}" for i in range(3)]
    kernels = ["kernel", "global_projection/kernel", "local_projections_0/kernel"]
    expected = [f"{block}/{kernel}" for block in blocks for kernel in kernels]
    expected += [f"{block}/residual/kernel" for block in blocks[:2]]
    expected += ["params/skip/kernel", "params/head/kernel"]
    assert sorted(names) == sorted(expected)
    assert found["params/stack/blocks_0/kernel"] == MuonDimensionNumbers((0, 1), 2)
    assert found["params/skip/kernel"] == MuonDimensionNumbers((0,), 1)


def test_the_directions_of_normalized_kernels_are_the_same_parameters() -> None:
    split = weight_norm.split_kernels(make_state().params)
    found = inner_kernels(split)
    assert found["directions"] == inner_kernels(make_state().params)
    assert not any(flat(found["lengths"]).values())


def test_muon_learns_all_directions_of_a_kernel_at_one_rate() -> None:
    """Taps and inputs of a convolution are one axis; the iteration ends near 1, not at it."""
    updates = first_update(MUON)
    for name, axes in flat(inner_kernels(make_state().params)).items():
        if axes is None:
            continue
        matrix = updates[name].reshape(-1, updates[name].shape[-1])
        rate = MATRIX_RATE * max(1, matrix.shape[1] / matrix.shape[0]) ** 0.5
        singular_values = np.linalg.svd(matrix, compute_uv=False) / rate
        assert 0.4 < singular_values.min() <= singular_values.max() < 1.4, name


def test_muon_leaves_all_other_parameters_to_nadam() -> None:
    updates = first_update(MUON)
    nadam = first_update(dataclasses.replace(MUON, optimizer="nadam"))
    axes = flat(inner_kernels(make_state().params))
    same = [name for name in updates if np.allclose(updates[name], nadam[name], rtol=1e-5)]
    assert same == [name for name in updates if axes[name] is None]


def test_nadam_looks_a_step_of_momentum_ahead() -> None:
    """After one step from zero, of the gradient g: b1 m + (1 - b1) g with m = (1 - b1) g, each
    divided by the sum of its weights so far."""
    nadam = first_update(dataclasses.replace(MUON, optimizer="nadam"))
    adam = first_update(dataclasses.replace(MUON, optimizer="adam"))
    ahead = 0.9 * 0.1 / (1 - 0.9**2) + 0.1 / (1 - 0.9)
    for name in adam:
        np.testing.assert_allclose(nadam[name], ahead * adam[name], rtol=1e-4, err_msg=name)


def test_adam_and_nadam_have_one_state() -> None:
    """That of runs begun before there was a choice: clipping's, then Adam's moments and count."""
    states = [
        jax.eval_shape(make_optimizer(dataclasses.replace(TRAINING, optimizer=name)).init, params)
        for params in [make_state().params]
        for name in ("adam", "nadam")
    ]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    moments = states[0][1][0]
    assert [*moments._fields] == ["count", "mu", "nu"]
    assert jax.tree.structure(moments.mu) == jax.tree.structure(make_state().params)


@pytest.mark.parametrize("step", [0, 4, 12, 20])
def test_both_rates_follow_one_schedule(step: int) -> None:
    config = dataclasses.replace(TRAINING, end_learning_rate=1e-3)
    rate, matrix_rate = (
        training.learning_rate_schedule(config, peak)(jnp.int32(step)) for peak in (None, 0.3)
    )
    assert float(matrix_rate) == pytest.approx(0.3 / config.learning_rate * float(rate))
