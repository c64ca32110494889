"""The first state, and what it takes of a pretrained model."""

import dataclasses

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from toy_training import CONFIG, TRAINING, loss_and_gradients, make_batch

from wavenet_jax import InputError, WaveNetConfig, training


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


# -- pretrained -------------------------------------------------------------------

RECOGNIZER = grid.RECOGNIZERS["frames"]


def variables_of(config: training.ModelConfig, seed: int = 7) -> dict:
    return grid.random_params(config, seed)


def begun_with(config: training.ModelConfig, pretrained: dict) -> tuple[dict, dict]:
    """The first variables with and without a pretrained model, by name."""
    state = training.init_state(config, TRAINING, pretrained=pretrained)
    plain = training.init_state(config, TRAINING)
    return flat(state.params), flat(plain.params)


def flat(tree: dict) -> dict:
    return traverse_util.flatten_dict(tree, sep="/")


def test_a_model_begins_with_its_own_kind() -> None:
    pretrained = variables_of(CONFIG)
    adoption = training.adopt(CONFIG, pretrained)
    assert set(adoption.taken) == set(flat(pretrained))
    assert (adoption.reshaped, adoption.new, adoption.unused) == ({}, (), ())
    state = training.init_state(CONFIG, TRAINING, pretrained=pretrained)
    jax.tree.map(np.testing.assert_array_equal, state.params, pretrained)
    jax.tree.map(np.testing.assert_array_equal, state.ema_params, pretrained)


@pytest.mark.parametrize("here", ["generator", "recognizer"])
def test_a_generator_begins_a_recognizer_and_the_other_way_round(here: str) -> None:
    models = {"recognizer": RECOGNIZER, "generator": RECOGNIZER.wavenet}
    there = "generator" if here == "recognizer" else "recognizer"
    pretrained = variables_of(models[there])
    adoption = training.adopt(models[here], pretrained)
    stack = set(flat(variables_of(RECOGNIZER.wavenet)))
    classifier = set(flat(variables_of(RECOGNIZER))) - stack
    assert classifier
    assert set(adoption.taken) == stack
    assert adoption.reshaped == {}
    if here == "recognizer":
        assert (set(adoption.new), adoption.unused) == (classifier, ())
    else:
        assert (adoption.new, set(adoption.unused)) == ((), classifier)
    begun, plain = begun_with(models[here], pretrained)
    for name in stack:
        np.testing.assert_array_equal(begun[name], flat(pretrained)[name])
    for name in adoption.new:
        np.testing.assert_array_equal(begun[name], plain[name])


def test_conditions_of_another_width_are_left_out_and_named() -> None:
    """More speakers than the pretrained model has: their table begins at random."""
    pretrained = variables_of(CONFIG)
    condition = dataclasses.replace(CONFIG.global_condition, size=9)
    config = dataclasses.replace(CONFIG, global_condition=condition)
    adoption = training.adopt(config, pretrained)
    (name,) = adoption.reshaped
    assert adoption.reshaped == {name: ((9, 4), (3, 4))}
    assert len(adoption.taken) == len(flat(pretrained)) - 1
    begun, plain = begun_with(config, pretrained)
    np.testing.assert_array_equal(begun[name], plain[name])
    short = name.removeprefix("params/")
    total = len(flat(pretrained))
    assert str(adoption) == (
        f"{total - 1} of {total} parameters begin with the pretrained model's; of another "
        f"shape and begun at random: {short} 9 x 4 (3 x 4 there)."
    )


def test_a_pretrained_model_of_which_but_biases_fit_is_refused() -> None:
    """Twice the channels, and as many codes: only the output's bias has the same shape."""
    config = WaveNetConfig(dilations=(1, 2), **grid.SMALL)
    doubled = {name: 2 * size for name, size in grid.SMALL.items() if name.endswith("channels")}
    other = dataclasses.replace(config, **doubled)
    pretrained = training.init_variables(other, jax.random.key(0))
    same = [
        name
        for name, x in flat(training.init_variables(config, jax.random.key(0))).items()
        if flat(pretrained)[name].shape == x.shape
    ]
    assert same == ["params/output/bias"]
    for refused in (
        training.adopt,
        lambda *a: training.init_state(a[0], TRAINING, pretrained=a[1]),
    ):
        with pytest.raises(
            InputError, match=r"shares no kernel with this one \(.*kernel is .* here\)"
        ):
            refused(config, pretrained)
