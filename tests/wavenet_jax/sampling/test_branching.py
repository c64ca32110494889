"""Branches of an utterance: each is what `generate` draws, from any point, as often as asked."""

import functools
from typing import Any

import grid
import jax
import numpy as np
import pytest

from wavenet_jax import InputError, WaveNetConfig, generate, sampling, utterance_keys
from wavenet_jax.sampling import Branching

SEED, PRIMED, PIECE = 7, 9, 10
LENGTH = 3 * PIECE
DEVICE = jax.devices()[:1]
BACKENDS = [
    name for name in sampling.BACKENDS if sampling.supports(grid.CONFIGS["plain"], name, DEVICE)
]


@functools.cache
def case(name: str) -> tuple[WaveNetConfig, Any, dict[str, Any], np.ndarray]:
    """Config, parameters, the condition of one utterance, and its prime."""
    config = grid.CONFIGS[name]
    conditions = grid.conditions_for(config, 1, PRIMED + LENGTH)
    one = {f"{key}_condition": value[0] for key, value in conditions.items()}
    prime = np.random.default_rng(0).integers(0, config.num_classes, PRIMED).astype(np.int32)
    return config, grid.random_params(config), one, prime


def branching(name: str, backend: str, **options: Any) -> Branching:
    config, params, condition, prime = case(name)
    given = {"prime": prime, "devices": DEVICE, "backend": backend} | condition | options
    given.pop("local_condition", None)
    return Branching(config, params, **given)


def key_of(index: int) -> jax.Array:
    return utterance_keys(SEED, [index])


@functools.cache
def generated(name: str, index: int) -> np.ndarray:
    """Of an utterance, by the plain backend."""
    config, params, condition, prime = case(name)
    chunks = generate(
        config,
        params,
        keys=key_of(index),
        num_samples=LENGTH,
        prime=prime[None],
        backend="scan",
        devices=DEVICE,
        **{key: value[None] for key, value in condition.items()},
    )
    return np.concatenate(list(chunks), axis=1)[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["speaker", pytest.param("context", marks=pytest.mark.long)])
def test_branches_are_utterances_and_going_back_draws_the_same_again(
    name: str, backend: str
) -> None:
    """Each of several is the one that `generate` draws alone; also from a point in the middle of a
    frame, whatever was drawn from it and after it meanwhile."""
    begun = branching(name, backend)
    first = begun.draw(begun.start, utterance_keys(SEED, [5, 3]), PIECE)
    assert first.codes.shape == (2, PIECE)
    np.testing.assert_array_equal(first.codes[0], generated(name, 5)[:PIECE])
    point = first.end(1)
    assert point.time == PRIMED + PIECE
    others = begun.draw(point, utterance_keys(SEED, [0, 1]), PIECE)
    begun.draw(others.end(1), utterance_keys(SEED, [9, 2]), PIECE)
    second = begun.draw(point, utterance_keys(SEED, [3, 1]), PIECE)
    rest = begun.draw(second.end(0), utterance_keys(SEED, [1, 3]), PIECE)
    whole = np.concatenate([first.codes[1], second.codes[0], rest.codes[1]])
    np.testing.assert_array_equal(whole, generated(name, 3))
    again = begun.draw(begun.start, utterance_keys(SEED, [5, 3]), PIECE)
    np.testing.assert_array_equal(again.codes, first.codes)


def test_branches_over_devices_are_the_same() -> None:
    """Of which there are more than devices, and not as many on each."""
    begun = branching("plain", "scan", devices=jax.devices()[:2])
    first = begun.draw(begun.start, utterance_keys(SEED, [5, 6, 3]), PIECE)
    rest = begun.draw(first.end(2), utterance_keys(SEED, [3, 1, 0]), 2 * PIECE).codes
    whole = np.concatenate([first.codes[2], rest[0]])
    np.testing.assert_array_equal(whole, generated("plain", 3))


def test_redrawn_keys() -> None:
    """Attempt 0 is the utterance, the others are of numbers that no sample has."""
    (key,) = key_of(3)
    keys = sampling.redrawn_keys(key, [2, 0, 1])
    assert bool(keys[1] == key)
    uniforms = np.asarray(sampling.uniforms(keys, 0, 50)).T
    np.testing.assert_array_equal(uniforms[1], np.asarray(sampling.uniforms(key_of(3), 0, 50)).T[0])
    assert len(np.unique(uniforms)) == 150
    of_samples = jax.vmap(functools.partial(jax.random.fold_in, key))(np.arange(50))
    data = jax.random.key_data(keys).tolist()
    assert not [each for each in jax.random.key_data(of_samples).tolist() if each in data]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("phones", {"prime": None}, "has a local condition, and branches are drawn without one"),
        ("plain", {"prime": np.full(3, 99)}, "The prime is no codes from 0 to 15"),
        ("plain", {"temperature": -1.0}, "temperature is -1"),
        ("plain", {"top_p": 0.0}, "top_p is 0"),
        ("speaker", {"global_condition": np.array(7)}, "has the label 7"),
    ],
)
def test_refusals(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        branching(name, "scan", **options)


def test_refused_draws() -> None:
    begun = branching("plain", "scan")
    for keys, length, message in (
        (key_of(0)[:0], 5, "batch to generate is 0"),
        (key_of(0), 0, "number of samples to generate is 0"),
        (key_of(0), 2**31, "has 2147483657 samples, its prime included"),
        (np.zeros(1), 5, "The keys have shape"),
    ):
        with pytest.raises(InputError, match=message):
            begun.draw(begun.start, keys, length)
