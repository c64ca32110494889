"""What a model takes of a pretrained one: what fits, and by name."""

import dataclasses
from typing import Any

import grid
import jax
import numpy as np
import pytest
from flax import traverse_util
from toy_training import CONFIG, TRAINING

from wavenet_jax import InputError, LocalConditionConfig, WaveNet, WaveNetConfig, training
from wavenet_jax.training import NamedAxis

RECOGNIZER = grid.RECOGNIZERS["frames"]


def variables_of(config: training.ModelConfig, seed: int = 7) -> dict:
    return grid.random_params(config, seed)


def begun_with(
    config: training.ModelConfig, pretrained: dict, *named_axes: NamedAxis
) -> tuple[dict, dict]:
    """The first variables with and without a pretrained model, by name."""
    state = training.init_state(config, TRAINING, pretrained=pretrained, named_axes=named_axes)
    plain = training.init_state(config, TRAINING)
    return flat(state.params), flat(plain.params)


def flat(tree: dict) -> dict:
    return traverse_util.flatten_dict(jax.tree.map(np.asarray, tree), sep="/")


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


# -- by name --------------------------------------------------------------------------

TABLE = "params/global_embedding/table"
MAP = "params/local_conditioning/embedding/map/kernel"


def with_speakers(number: int) -> WaveNetConfig:
    condition = dataclasses.replace(CONFIG.global_condition, size=number)
    return dataclasses.replace(CONFIG, global_condition=condition)


def with_columns(number: int) -> WaveNetConfig:
    condition = LocalConditionConfig("vectors", size=number, channels=4, hop_samples=2)
    return WaveNetConfig(dilations=(1, 2), local_condition=condition, **grid.SMALL)


def logits(config: WaveNetConfig, params: Any, **conditions: Any) -> np.ndarray:
    codes = grid.random_codes(config, 2, 12)
    return np.asarray(WaveNet(config).apply(params, codes, **conditions))


def test_speakers_in_another_order_and_one_more_are_found_by_name() -> None:
    """The function of a speaker whom both know is the same, to the bit."""
    pretrained, config = variables_of(CONFIG), with_speakers(4)
    axis = NamedAxis("global_condition", ("cid", "dan", "ann", "eve"), ("ann", "bob", "cid"))
    adoption = training.adopt(config, pretrained, [axis])
    assert set(adoption.matched) == {TABLE}
    assert set(adoption.taken) == set(flat(pretrained)) - {TABLE}
    assert (adoption.reshaped, adoption.new, adoption.unused) == ({}, (), ())
    begun, _ = begun_with(config, pretrained, axis)
    np.testing.assert_array_equal(begun[TABLE][[0, 2]], flat(pretrained)[TABLE][[2, 0]])
    mean = np.mean(flat(pretrained)[TABLE], axis=0)
    np.testing.assert_allclose(begun[TABLE][[1, 3]], [mean, mean], atol=1e-7)
    params = traverse_util.unflatten_dict(begun, sep="/")
    local = grid.conditions_for(CONFIG, 2, 12)["local"]
    for here, there in ((0, 2), (2, 0)):
        np.testing.assert_array_equal(
            logits(config, params, global_condition=np.full(2, here), local_condition=local),
            logits(CONFIG, pretrained, global_condition=np.full(2, there), local_condition=local),
        )
    total = len(flat(pretrained))
    assert str(adoption).splitlines() == [
        f"{total - 1} of {total} parameters begin with the pretrained model's; matched by name: "
        "global_embedding/table.",
        "New in the global condition and begun as the mean of the others: dan, eve.",
        "Not taken of the global condition there: bob.",
    ]


def test_without_speakers_it_begins_with_the_mean_of_them() -> None:
    """What it computes is what the pretrained model computes of a speaker who is that mean."""
    there = dataclasses.replace(with_speakers(3), local_condition=None)
    pretrained = variables_of(there)
    here = dataclasses.replace(there, global_condition=None)
    begun, _ = begun_with(here, pretrained)
    mean = flat(pretrained)
    mean[TABLE] = np.tile(mean[TABLE].mean(axis=0), (3, 1))
    as_mean = traverse_util.unflatten_dict(mean, sep="/")
    speaker = np.array([1, 1])
    np.testing.assert_allclose(
        logits(here, traverse_util.unflatten_dict(begun, sep="/")),
        logits(there, as_mean, global_condition=speaker),
        atol=1e-5,
    )
    assert (
        np.abs(
            logits(there, pretrained, global_condition=speaker)
            - logits(there, as_mean, global_condition=speaker)
        ).max()
        > 1e-3
    )
    said = str(training.adopt(here, pretrained))
    assert said.endswith("\nOf the global condition there its classes' mean is kept.")
    assert "mean is kept" not in str(training.adopt(there, pretrained))
    shorter = dataclasses.replace(here, dilations=here.dilations[:-1])
    begun_with(shorter, pretrained)  # without the biases of the layers that it does not have
    vectors = dataclasses.replace(there.global_condition, kind="vectors", size=5)
    other = dataclasses.replace(there, global_condition=vectors)
    assert "mean is kept" not in str(training.adopt(other, pretrained))


def test_as_many_other_speakers_do_not_begin_as_those_of_their_numbers() -> None:
    """But as the mean of those of their label; at random where there is none of it."""
    pretrained = variables_of(CONFIG)
    here = ("speaker: dan", "speaker: eve", "digit: 1")
    axis = NamedAxis("global_condition", here, ("speaker: ann", "tag: loud", "speaker: cid"))
    begun, plain = begun_with(CONFIG, pretrained, axis)
    mean = np.mean(flat(pretrained)[TABLE][[0, 2]], axis=0)
    np.testing.assert_allclose(begun[TABLE][:2], [mean, mean], atol=1e-7)
    np.testing.assert_array_equal(begun[TABLE][2], plain[TABLE][2])
    assert str(axis).splitlines() == [
        "New in the global condition and begun as the mean of the others: speaker: dan, speaker: "
        "eve.",
        "New in the global condition and begun at random: digit: 1.",
        "Not taken of the global condition there: speaker: ann, tag: loud, speaker: cid.",
    ]


def test_the_same_names_are_taken_and_nothing_is_said_of_them() -> None:
    pretrained, names = variables_of(CONFIG), ("ann", "bob", "cid")
    adoption = training.adopt(CONFIG, pretrained, [NamedAxis("global_condition", names, names)])
    assert set(adoption.taken) == set(flat(pretrained))
    assert len(str(adoption).splitlines()) == 1


def test_columns_of_another_inventory_are_found_by_name() -> None:
    """The function of features whose new columns are zero is the same, to rounding."""
    before, now = with_columns(3), with_columns(4)
    pretrained = variables_of(before)
    axis = NamedAxis("local_condition", ("o", "voiced", "a", "e"), ("a", "i", "voiced"))
    begun, plain = begun_with(now, pretrained, axis)
    np.testing.assert_array_equal(begun[MAP][[1, 2]], flat(pretrained)[MAP][[2, 0]])
    np.testing.assert_array_equal(begun[MAP][[0, 3]], plain[MAP][[0, 3]])
    features = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
    features[..., [0, 3]] = 0
    there = np.stack([features[..., 2], np.zeros((2, 6), np.float32), features[..., 1]], axis=-1)
    np.testing.assert_allclose(
        logits(now, traverse_util.unflatten_dict(begun, sep="/"), local_condition=features),
        logits(before, pretrained, local_condition=there),
        atol=1e-5,
    )


def test_a_recognizers_phones_are_found_by_name() -> None:
    """In its last layer: the outputs, and their biases; said once."""
    more = dataclasses.replace(RECOGNIZER, num_classes=RECOGNIZER.num_classes + 1)
    there = tuple(f"p{i}" for i in range(RECOGNIZER.num_outputs))
    here = ("new", *reversed(there))
    pretrained, axis = variables_of(RECOGNIZER), NamedAxis("classes", here, there)
    begun, plain = begun_with(more, pretrained, axis)
    for name in ("kernel", "bias"):
        name = f"params/classifier/output/{name}"
        np.testing.assert_array_equal(begun[name][..., 1:], flat(pretrained)[name][..., ::-1])
        np.testing.assert_array_equal(begun[name][..., 0], plain[name][..., 0])
    lines = str(training.adopt(more, pretrained, [axis])).splitlines()
    assert lines[1:] == ["New in the classes and begun at random: new."]


def test_a_name_may_stand_for_several() -> None:
    """As two questions of one name: the first is the first, the second the second."""
    axis = NamedAxis("local_condition", ("b", "a", "b"), ("b", "b", "c"))
    assert axis.shared == ([0, 2], [0, 1])
    assert (axis.new, axis.unused) == (["a"], ["c"])


def test_channels_of_another_width_are_not_matched() -> None:
    condition = dataclasses.replace(CONFIG.global_condition, channels=5)
    config = dataclasses.replace(CONFIG, global_condition=condition)
    names = ("ann", "bob", "cid")
    adoption = training.adopt(
        config, variables_of(CONFIG), [NamedAxis("global_condition", names, names[::-1])]
    )
    assert adoption.matched == {}
    assert adoption.reshaped[TABLE] == ((3, 5), (3, 4))


def test_names_that_are_not_as_many_as_their_values_are_refused() -> None:
    axis = NamedAxis("global_condition", ("ann", "bob"), ("ann", "bob", "cid"))
    with pytest.raises(InputError, match="There are 2 names for the global condition of a model"):
        training.adopt(CONFIG, variables_of(CONFIG), [axis])


def test_names_in_common_and_no_kernel_are_refused() -> None:
    doubled = {name: 2 * size for name, size in grid.SMALL.items() if name.endswith("channels")}
    other = dataclasses.replace(with_columns(3), **doubled)
    axis = NamedAxis("local_condition", ("a", "e", "o", "u"), ("a", "e", "o"))
    with pytest.raises(InputError, match="shares no kernel with this one"):
        training.adopt(with_columns(4), variables_of(other), [axis])
