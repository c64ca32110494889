"""The networks of durations and pitch: their receptive field, losses and what they learn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavenet_jax import InputError
from wavenet_jax.prosody import networks
from wavenet_jax.prosody.networks import Batch, ProsodyConfig, ProsodyNet
from wavenet_jax.training import NamedAxis


def config_of(kind: str = "pitch", **changes) -> ProsodyConfig:
    return ProsodyConfig(kind, 3, **({"dilations": (1, 2), "channels": 8} | changes))


def some(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(length, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", networks.NUM_OUTPUTS)
def test_a_sentence_alone_is_as_in_a_batch(kind: str) -> None:
    """What pads a short sentence changes nothing of it."""
    config = config_of(kind)
    params = networks.init_state(config).params
    short, long = some(5), some(41, seed=1)
    padded, mask = networks.padded_features([short, long])
    padded[0, 5:] = 1e3
    together = ProsodyNet(config).apply(params, padded, mask)
    alone = networks.predict(config, params, short)
    assert alone.shape == (5, networks.NUM_OUTPUTS[kind])
    np.testing.assert_allclose(together[0, :5], alone, atol=1e-5)
    np.testing.assert_allclose(together[1, :41], networks.predict(config, params, long), atol=1e-5)


def test_reaches_both_ways_and_no_further() -> None:
    config = config_of()
    params = networks.init_state(config).params

    def at_20(features: jax.Array) -> jax.Array:
        mask = jnp.ones(features.shape[:1], bool)
        return jnp.sum(ProsodyNet(config).apply(params, features[None], mask[None])[0, 20])

    seen = np.abs(np.asarray(jax.grad(at_20)(jnp.asarray(some(41))))).sum(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(seen), np.arange(17, 24))


def test_the_loss_of_pitch_is_of_voiced_frames() -> None:
    config = config_of()
    targets = np.array([[[1.0, 1.0], [0.0, 0.0], [5.0, 1.0]]], np.float32)
    batch = Batch(np.zeros((1, 3, 3), np.float32), targets, np.array([[True, True, False]]))
    sure = np.array([[[0.5, 100.0], [9.0, -100.0], [0.0, -100.0]]], np.float32)
    assert float(networks.loss(config, jnp.asarray(sure), batch)) == pytest.approx(0.25)
    wrong = sure * [1, -1]
    assert float(networks.loss(config, jnp.asarray(wrong), batch)) == pytest.approx(100.25)


def test_the_loss_of_durations_is_of_phones() -> None:
    config = config_of("duration")
    targets = np.array([[[1.0], [0.0], [5.0]]], np.float32)
    batch = Batch(np.zeros((1, 3, 3), np.float32), targets, np.array([[True, True, False]]))
    assert float(networks.loss(config, jnp.zeros((1, 3, 1)), batch)) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", networks.NUM_OUTPUTS)
def test_learns(kind: str) -> None:
    """A function of the neighbours is found."""
    config = config_of(kind, channels=16, dropout=0.0, num_steps=300, learning_rate=1e-2)
    step, state = networks.make_step(config), networks.init_state(config)
    for i in range(config.num_steps):
        features = [some(40, seed=8 * i + j) for j in range(8)]
        targets = []
        for x in features:
            value = np.roll(x[:, 0], 1) * (np.arange(40) > 0)
            columns = {"duration": [value], "pitch": [value, x[:, 1] > 0]}.get(
                kind, [value] * networks.NUM_BANDS
            )
            targets.append(np.stack(columns, axis=1).astype(np.float32))
        state, loss = step(state, networks.batch_of(features, targets))
    assert float(loss) < 0.1


def test_the_loss_of_spectra_is_absolute_and_of_the_sentence_alone() -> None:
    outputs = np.zeros((1, 3, networks.NUM_BANDS), np.float32)
    targets = outputs.copy()
    targets[0, 0] = -0.5
    targets[0, 2] = 100.0  # past the end
    batch = Batch(np.zeros((1, 3, 3), np.float32), targets, np.array([[True, True, False]]))
    assert float(networks.loss(config_of("spectrum"), outputs, batch)) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "loudness"}, "prosody's kind is 'loudness': use one of duration, pitch"),
        ({"features": 0}, "features is 0: give at least 1"),
        ({"channels": 0}, "channels is 0: give at least 1"),
        ({"dropout": 1.0}, "dropout is 1.0: give a number from 0"),
        ({"context_dropout": 1.0}, "context_dropout is 1.0: give a number from 0"),
        ({"input_noise": -0.1}, "input_noise is -0.1: give a number from 0"),
        ({"input_noise": float("nan")}, "input_noise is nan: give a number from 0"),
        ({"num_steps": 0}, "num_steps is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0: give a number above 0"),
        ({"seed": 7 + 2**32}, "seed is 4294967303: give a number from 0 to 4294967295"),
    ],
)
def test_refusals(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ProsodyConfig(**({"kind": "pitch", "features": 3} | changes))


def test_the_lengths_of_padding_are_few_and_all() -> None:
    lengths = networks.padded_lengths(1000)
    assert len(lengths) < 20 and lengths == sorted(set(lengths))
    for length in (1, 33, 500, 999, 1000):
        padded, _ = networks.padded_features([np.zeros((length, 1))])
        assert padded.shape[1] in lengths


def test_begins_with_another_network_by_the_names_of_features() -> None:
    """Whatever their order; what it lacks begins as it would without it."""

    def named(features: str) -> NamedAxis:
        return NamedAxis("local_condition", tuple(features), tuple("cdab"))

    other = ProsodyConfig("pitch", 4, dilations=(1, 2), channels=8, seed=1, num_steps=9)
    params = networks.init_state(other).params
    config = config_of()
    state = networks.init_state(config)
    none_either = NamedAxis("global_condition", (), ())
    begun = networks.begin_with(config, state, other, params, named("xbc"), none_either)
    assert begun is not None and int(begun.step) == 0
    kernel, there = (of["params"]["input"]["kernel"] for of in (begun.params, params))
    own = state.params["params"]["input"]["kernel"]
    np.testing.assert_array_equal(kernel, np.stack([own[0], there[3], there[0]]))
    for name in ("layer_1", "output"):
        jax.tree.map(
            np.testing.assert_array_equal, begun.params["params"][name], params["params"][name]
        )
    features = some(7)
    moved = np.zeros((7, 4), np.float32)
    moved[:, [3, 0]] = features[:, 1:]
    expected = networks.predict(other, params, moved)
    features[:, 0] = 0
    found = networks.predict(config, begun.params, features)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for changes in ({"channels": 16}, {"dilations": (1, 4)}, {"kind": "spectrum"}):
        unlike = dataclasses.replace(other, **changes)
        of_it = networks.init_state(unlike).params
        assert networks.begin_with(config, state, unlike, of_it, named("xbc"), none_either) is None
    none = networks.begin_with(config, state, other, params, named("xyz"), none_either)
    assert none is not None
    np.testing.assert_array_equal(none.params["params"]["input"]["kernel"], own)


def test_begins_with_the_voices_of_another_network() -> None:
    """A new one as the mean of them, all alike of none, and without any as the mean."""
    config = config_of("spectrum")
    state = networks.init_state(config)

    def begun(here: tuple[str, ...], there: tuple[str, ...]) -> tuple[np.ndarray, ...]:
        """Kernel of the voices here, what is added to the bias, and kernel of the voices there."""
        shared = 3 - len(here)
        other = dataclasses.replace(config, features=shared + len(there), seed=1)
        params = networks.init_state(other).params
        features = NamedAxis("local_condition", *[tuple("abc"[:shared])] * 2)
        voices = NamedAxis("global_condition", here, there)
        found = networks.begin_with(config, state, other, params, features, voices)
        assert found is not None
        layer, given = (of["params"]["input"] for of in (found.params, params))
        np.testing.assert_array_equal(layer["kernel"][:shared], given["kernel"][:shared])
        return (
            np.asarray(layer["kernel"][shared:]),
            np.asarray(layer["bias"] - given["bias"]),
            np.asarray(given["kernel"][shared:]),
        )

    kernel, bias, given = begun(("speaker: eve", "speaker: bob"), ("speaker: bob", "speaker: ann"))
    np.testing.assert_array_equal(kernel[1], given[0])
    np.testing.assert_allclose(kernel[0], given.mean(axis=0), rtol=1e-6)
    assert not bias.any()
    kernel, bias, _ = begun(("speaker: eve",), ())
    assert not kernel.any() and not bias.any()
    _, bias, given = begun((), ("speaker: bob", "mood: low", "speaker: ann"))
    np.testing.assert_allclose(bias, given[[0, 2]].mean(axis=0) + given[1], rtol=1e-6)
