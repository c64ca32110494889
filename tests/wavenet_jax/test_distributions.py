"""Log-probabilities that normalise, and draws that follow them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from wavenet_jax import distributions

NEXT_TO_ONE = np.float32(1 - 2**-24)


def draw(logits, uniforms, temperature: float = 1.0) -> np.ndarray:
    drawn = distributions.categorical_sample(
        jnp.asarray(logits, jnp.float32), jnp.asarray(uniforms, jnp.float32), temperature
    )
    assert drawn.dtype == jnp.int32
    return np.asarray(drawn)


def test_log_probabilities_normalise() -> None:
    logits = jax.random.normal(jax.random.key(0), (5, 64)) * 10
    codes = jnp.broadcast_to(jnp.arange(64), (5, 64))
    of_each = jnp.broadcast_to(logits[:, None], (5, 64, 64))
    bits = distributions.categorical_log_prob_bits(of_each, codes)
    assert bits.shape == (5, 64)
    assert bits.max() <= 0
    np.testing.assert_allclose(np.exp2(np.asarray(bits, np.float64)).sum(1), 1, atol=1e-5)
    wanted = scipy.special.log_softmax(np.asarray(logits, np.float64), axis=1) / np.log(2)
    np.testing.assert_allclose(bits, wanted, atol=1e-4)


def test_extreme_logits_have_finite_bits() -> None:
    logits = jnp.array([[0.0, 1e4, -1e4]])
    bits = distributions.categorical_log_prob_bits(logits, jnp.array([1]))
    np.testing.assert_array_equal(bits, [0.0])


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_draws_invert_the_cumulative_distribution(temperature: float) -> None:
    """Against float64; a draw may be the neighbour where u falls on an edge."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 256)).astype(np.float32)
    uniforms = random.random(4000).astype(np.float32)
    drawn = draw(logits, uniforms, temperature)
    cumulative = np.cumsum(
        scipy.special.softmax(logits.astype(np.float64) / temperature, axis=1), axis=1
    )
    lower = np.where(drawn > 0, cumulative[np.arange(4000), drawn - 1], 0)
    upper = cumulative[np.arange(4000), drawn]
    assert np.all(lower <= uniforms + 1e-6)
    assert np.all(uniforms <= upper + 1e-6)
    exact = np.sum(cumulative <= uniforms[:, None], axis=1)
    assert np.mean(drawn == exact) > 0.999


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_draws_follow_the_probabilities(temperature: float) -> None:
    """Chi-square of 20,000 draws; a distribution wrong by a tenth of a code fails it."""
    logits = np.random.default_rng(1).normal(0, 1, 16).astype(np.float32)
    uniforms = jax.random.uniform(jax.random.key(1), (20000,))
    drawn = draw(np.broadcast_to(logits, (20000, 16)), uniforms, temperature)
    expected = 20000 * scipy.special.softmax(logits.astype(np.float64) / temperature)
    counts = np.bincount(drawn, minlength=16)
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-3
    assert scipy.stats.chisquare(counts, np.roll(expected, 1)).pvalue < 1e-6


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = np.random.default_rng(2).normal(0, 1, (100, 32)).astype(np.float32)
    for uniform in (0.0, 0.5, NEXT_TO_ONE):
        drawn = draw(logits, np.full(100, uniform), 0.0)
        np.testing.assert_array_equal(drawn, logits.argmax(1))


@pytest.mark.parametrize("uniform", [0.0, NEXT_TO_ONE])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_ends_stay_in_range(uniform: float, temperature: float) -> None:
    """Whatever the logits, and never a code that the distribution rules out."""
    logits = np.zeros((6, 256), np.float32)
    logits[0] = 80 * np.random.default_rng(3).normal(0, 1, 256)
    logits[1, 0] = logits[2, 255] = 1e4  # all the mass at an end
    logits[3, :255] = logits[4, 1:] = -1e4
    drawn = draw(logits, np.full(6, uniform), temperature)
    assert drawn.min() >= 0
    assert drawn.max() <= 255
    assert drawn[1:5].tolist() == [0, 255, 255, 0]
