"""Seeds, keys and uniform numbers; and that no number draws an impossible code."""

import functools
from typing import Any

import grid
import jax
import numpy as np
import pytest

from wavenet_jax import InputError, WaveNetConfig, generate, sampling, utterance_keys
from wavenet_jax.sampling import ChunkConditions, randomness

CONFIG = WaveNetConfig(dilations=(1, 2), **(grid.SMALL | {"num_classes": 256}))
BACKENDS = [
    name for name in sampling.BACKENDS if sampling.supports(CONFIG, name, jax.devices()[:1])
]
ZEROS = [(552, 5501), (975, 843)]


@functools.cache
def params_of(impossible: tuple[int, ...]) -> Any:
    """A model whose samples are of codes 100 to 155, all alike, but of the given ones never."""
    params = jax.tree.map(np.zeros_like, grid.random_params(CONFIG))
    bias = np.full(256, -69.0, np.float32)  # e^-69 is 1e-30
    bias[100:156] = 0.0
    bias[list(impossible)] = -69.0
    params["params"]["output"]["bias"] = bias
    return params


def draw(
    backend: str, uniforms: Any, temperature: float = 1.0, impossible: tuple = ()
) -> np.ndarray:
    params, devices = params_of(impossible), jax.devices()[:1]
    model = sampling.BACKENDS[backend].prepare(CONFIG, params, "float32", devices)
    uniforms = np.asarray(uniforms, np.float32)[:, None]
    state = model.initial_state(1)
    draws = sampling.make_draws(uniforms, temperature)
    return model.generate_chunk(state, draws, ChunkConditions())[0][0]


@pytest.mark.parametrize(("seed", "sample"), ZEROS)
def test_an_exact_zero_becomes_the_smallest_number(seed: int, sample: int) -> None:
    """And every other number stays what jax draws."""
    keys = utterance_keys(seed, [0])
    samples = np.arange(sample - 2, sample + 3)
    of_samples = jax.vmap(functools.partial(jax.random.fold_in, keys[0]))(samples)
    drawn = np.asarray(jax.vmap(jax.random.uniform)(of_samples))
    assert drawn[2] == 0
    found = np.asarray(randomness.uniforms(keys, sample - 2, 5))[:, 0]
    assert 0 < found[2] <= 2**-23
    np.testing.assert_array_equal(np.delete(found, 2), np.delete(drawn, 2))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_that_sample_is_a_possible_code(backend: str, temperature: float) -> None:
    chunks = generate(
        CONFIG,
        params_of(()),
        keys=utterance_keys(975, [0]),
        num_samples=845,
        temperature=temperature,
        devices=jax.devices()[:1],
        backend=backend,
    )
    codes = np.concatenate(list(chunks), axis=1)
    assert codes.min() >= 100
    assert codes.max() < 156


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.0])
def test_numbers_next_to_the_ends_draw_possible_codes(backend: str, temperature: float) -> None:
    """Though the rounded sums of probabilities may end elsewhere than their total."""
    ends = [0.0, 2**-24, 2**-23, 2**-22, 1 - 2**-22, 1 - 2**-23, 1 - 2**-24, 1.0]
    codes = draw(backend, ends, temperature)
    assert codes.min() >= 100
    assert codes.max() < 156
    codes = draw(backend, ends, temperature, impossible=(100, 101, 155))
    assert codes.min() >= 102
    assert codes.max() < 155


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_number_draws_an_impossible_code(backend: str) -> None:
    """Next to each place where the sum of probabilities reaches a code."""
    impossible = tuple(range(101, 156, 2))
    places = np.arange(29)[:, None] / 28 + np.arange(-8, 9)[None] * 2.0**-24
    codes = draw(backend, np.clip(places, 0, 1).ravel(), impossible=impossible)
    assert set(codes) == set(range(100, 156, 2))


def test_seeds_of_more_than_32_bits_are_their_own() -> None:
    """Those below keep the keys that `jax.random.key` makes of them."""
    for seed in (0, 7, 2**32 - 1):
        expected = jax.random.fold_in(jax.random.key(np.uint32(seed)), 3)
        assert utterance_keys(seed, [3])[0] == expected
    seeds = [7, 7 + 2**32, 7 + 2**33, 7 + 2**63]
    numbers = np.array([randomness.uniforms(utterance_keys(seed, [0]), 0, 8) for seed in seeds])
    assert len(np.unique(numbers)) == numbers.size


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "7"])
def test_other_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(InputError, match=rf"The seed is '?{seed}'?: give"):
        utterance_keys(seed, [0])


@pytest.mark.parametrize("indices", [[-1], [2**32], [0.5]])
def test_other_indices_are_refused(indices: Any) -> None:
    with pytest.raises(InputError, match="The indices of the utterances are"):
        utterance_keys(0, indices)
