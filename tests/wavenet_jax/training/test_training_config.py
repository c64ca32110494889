"""The training's configuration: what it refuses, and what may change on resuming."""

import dataclasses
import functools

import grid
import jax
import pytest

from wavenet_jax import InputError, WaveNetConfig
from wavenet_jax.training import TrainingConfig, init_state


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_steps": 0}, "The training's num_steps is 0: give at least 1."),
        ({"num_steps": -3}, "The training's num_steps is -3: give at least 1."),
        ({"num_microbatches": 0}, "The training's num_microbatches is 0: give at least 1."),
        ({"warmup_steps": -1}, "The training's warmup_steps is -1: give at least 0."),
        ({"seed": -1}, "The training's seed is -1: give a number from 0 to 4294967295."),
        ({"seed": 7 + 2**32}, "The training's seed is 4294967303: give a number from 0 to 42"),
        ({"seed": 1.5}, "The training's seed is 1.5: give a whole number."),
        ({"num_steps": "x"}, "The training's num_steps is 'x': give a whole number."),
        ({"learning_rate": 0.0}, "The training's learning_rate is 0.0: give a number above 0."),
        ({"learning_rate": float("nan")}, "The training's learning_rate is nan: "),
        ({"matrix_learning_rate": 0.0}, "The training's matrix_learning_rate is 0.0: give a numb"),
        ({"optimizer": "sgd"}, "The training's optimizer is 'sgd': "),
        ({"clip_norm": -1.0}, "The training's clip_norm is -1.0: give a number above 0."),
        ({"beta2": 1.0}, "The training's beta2 is 1.0: give a number from 0 up to, not incl"),
        ({"ema_decay": -0.1}, "The training's ema_decay is -0.1: give a number from 0 up to"),
    ],
    ids=str,
)
def test_bad_training_configs(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        TrainingConfig(**({"num_steps": 10} | fields))


def test_seeds_use_all_their_bits() -> None:
    """The largest allowed differs from those below it, though jax takes 32 bits only."""
    assert TrainingConfig(num_steps=1, seed=2**32 - 1).seed == 2**32 - 1
    keys = [jax.random.key_data(jax.random.key(seed)).tolist() for seed in (2**32 - 1, 2**31 - 1)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"num_steps": 20},
        {"learning_rate": 0.1, "end_learning_rate": 0.01},
        {"warmup_steps": 0},
        {"optimizer": "nadam", "matrix_learning_rate": 1.0},
        {"clip_norm": 9.0, "beta2": 0.9, "ema_decay": 0.5},
        {"generation_weight": 0.0, "input_noise": 0.1},
        {"num_microbatches": 4},
        {"seed": 9},
    ],
    ids=str,
)
def test_all_but_weight_normalization_and_muon_may_change(changes: dict) -> None:
    """The state has the same arrays whatever these are."""
    stored = TrainingConfig(num_steps=10)
    config = dataclasses.replace(stored, **changes)
    model = WaveNetConfig(dilations=(1,), **grid.SMALL)
    states = [
        jax.eval_shape(functools.partial(init_state, model, each)) for each in (stored, config)
    ]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    jax.tree.map(lambda a, b: a.shape == b.shape or pytest.fail("shapes"), *states)
