"""Output distributions, against scipy's in float64, against counting, and at extremes."""

import functools
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from wavenet_jax import InputError, distributions
from wavenet_jax.distributions import OUTPUTS, Categorical, Mixture

CLASSES = (16, 256, 4096, 65536)
every_output = pytest.mark.parametrize("name", OUTPUTS)
# A softmax over 65,536 classes is no output that anyone builds.
every_output_and_size = pytest.mark.parametrize(
    ("name", "num_classes"),
    [
        (name, num_classes)
        for name in distributions.OUTPUTS
        for num_classes in CLASSES
        if name != "categorical" or num_classes <= 4096
    ],
)
every_mixture = pytest.mark.parametrize("name", OUTPUTS[1:])


def parameters_of(name: str, num_classes: int, count: int, seed: int = 0) -> np.ndarray:
    """Means within and somewhat beyond the range, scales from half a cell to all of it."""
    random = np.random.default_rng(seed)
    distribution = distributions.make(name, num_classes, 3)
    if name == "categorical":
        return random.normal(0, 2, (count, num_classes)).astype(np.float32)
    parts = {
        "logits": random.normal(0, 1, (count, 3)),
        "means": random.uniform(-1.1, 1.1, (count, 3)),
        "log_scales": random.uniform(np.log(1 / num_classes), 0, (count, 3)),
    }
    if name == "gaussian":
        parts = {"means": parts["means"][:, :1], "log_scales": parts["log_scales"][:, :1]}
    made = np.concatenate(list(parts.values()), axis=1).astype(np.float32)
    assert made.shape[1] == distribution.num_parameters
    return made


def reference_bits(name: str, num_classes: int, parameters: np.ndarray, codes: Any) -> np.ndarray:
    """log2 p in float64 by scipy, for codes `[count, N]`: tails below, differences between."""
    p = parameters.astype(np.float64)
    if name == "categorical":
        picked = np.take_along_axis(special.log_softmax(p, axis=1), codes, axis=1)
        return picked / np.log(2)
    number = 1 if name == "gaussian" else 3
    logits = np.zeros((len(p), 1)) if name == "gaussian" else p[:, :3]
    means, scales = p[:, -2 * number : -number], np.exp(p[:, -number:])
    family = stats.logistic if name == "logistic_mixture" else stats.norm
    half = num_classes / 2
    value = (codes[:, :, None] - half) / half
    a = (value + 1 / num_classes - means[:, None]) / scales[:, None]
    b = (value - 1 / num_classes - means[:, None]) / scales[:, None]
    # In whichever tail is the smaller, where float64 tells the two apart.
    above = a + b > 0
    upper = np.where(above, family.logsf(b), family.logcdf(a))
    lower = np.where(above, family.logsf(a), family.logcdf(b))
    with np.errstate(divide="ignore"):
        cell = upper + np.log(-np.expm1(lower - upper))
    cell = np.where(codes[:, :, None] == 0, family.logcdf(a), cell)
    cell = np.where(codes[:, :, None] == num_classes - 1, family.logsf(b), cell)
    weights = special.log_softmax(logits, axis=1)[:, None]
    return special.logsumexp(weights + cell, axis=2) / np.log(2)


def bits(name: str, num_classes: int, parameters: Any, codes: Any) -> np.ndarray:
    """log2 p of codes `[count, N]` under parameters `[count, P]`."""
    distribution = distributions.make(name, num_classes, 3)
    over_codes = jax.vmap(distribution.log_prob_bits, in_axes=(None, 1), out_axes=1)
    return np.asarray(jax.jit(over_codes)(jnp.asarray(parameters), jnp.asarray(codes)))


@every_output_and_size
def test_scores_are_those_of_scipy(name: str, num_classes: int) -> None:
    """To 1e-5 relative, near the means and far from them, ends included."""
    count = 40
    parameters = parameters_of(name, num_classes, count)
    random = np.random.default_rng(1)
    codes = random.integers(0, num_classes, (count, 100))
    codes[:, :2] = 0, num_classes - 1
    if name != "categorical":
        spread = np.exp(parameters[:, -1:]) * random.normal(0, 3, (count, 40))
        near = (parameters[:, -2:-1] + spread + 1) / 2 * num_classes
        codes[:, 2:42] = np.clip(near, 0, num_classes - 1)
    wanted = reference_bits(name, num_classes, parameters, codes)
    assert np.isfinite(wanted).mean() > 0.95
    exact = np.isfinite(wanted) & (wanted > -1e4)
    got = bits(name, num_classes, parameters, codes)
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[exact], wanted[exact], rtol=1e-5, atol=1e-5)


@every_output_and_size
def test_probabilities_sum_to_one(name: str, num_classes: int) -> None:
    parameters = parameters_of(name, num_classes, 6)
    codes = np.tile(np.arange(num_classes), (6, 1))
    sums = np.exp2(bits(name, num_classes, parameters, codes).astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=2e-5)


@every_output
def test_samples_are_distributed_as_scored(name: str) -> None:
    """A chi-square test over 64 codes; the same samples are no other distribution's."""
    num_classes, number = 64, 20000
    distribution = distributions.make(name, num_classes, 3)
    random = np.random.default_rng(3)
    for seed in (4, 5):
        parameters = parameters_of(name, num_classes, 1, seed)
        every = np.tile(np.arange(num_classes), (1, 1))
        scores = bits(name, num_classes, parameters, every)[0].astype(np.float64)
        expected = number * np.exp2(scores)
        uniforms = random.random(number).astype(np.float32)
        drawn = distribution.sample(np.repeat(parameters, number, axis=0), uniforms)
        assert drawn.dtype == jnp.int32
        observed = np.bincount(np.asarray(drawn), minlength=num_classes)

        def p_value(expected: np.ndarray, observed: np.ndarray = observed) -> float:
            common = expected >= 5
            few = [[expected[~common].sum()], [observed[~common].sum()]]
            cells = [
                np.append(x[common], y) for x, y in zip((expected, observed), few, strict=True)
            ]
            keep = cells[0] > 0.5
            wanted, counted = cells[0][keep], cells[1][keep]
            return float(stats.chisquare(counted, wanted * counted.sum() / wanted.sum()).pvalue)

        assert p_value(expected) > 1e-3
        assert p_value(0.9 * expected + 0.1 * np.roll(expected, 3)) < 1e-6


@every_output
def test_a_code_is_drawn_for_the_share_of_numbers_that_it_has(name: str) -> None:
    """A grid of uniforms gives each code its probability, to the grid."""
    num_classes, number = 256, 2**16
    distribution = distributions.make(name, num_classes, 3)
    parameters = parameters_of(name, num_classes, 1, seed=6)
    grid = ((np.arange(number) + 0.5) / number).astype(np.float32)
    drawn = np.asarray(distribution.sample(np.repeat(parameters, number, axis=0), grid))
    shares = np.bincount(drawn, minlength=num_classes) / number
    probabilities = np.exp2(bits(name, num_classes, parameters, np.arange(num_classes)[None])[0])
    np.testing.assert_allclose(shares, probabilities, atol=8 / number)
    if name in ("categorical", "gaussian"):
        assert (np.diff(drawn) >= 0).all()  # the inverse of one cumulative distribution


@every_output
def test_temperature(name: str) -> None:
    """0 is what is likeliest, whatever the number; 0.5 is nearer to it than 1."""
    num_classes, number = 256, 4000
    distribution = distributions.make(name, num_classes, 3)
    parameters = np.repeat(parameters_of(name, num_classes, 1, seed=2), number, axis=0)
    uniforms = np.random.default_rng(0).random(number).astype(np.float32)
    draw = jax.jit(distribution.sample)
    cold = np.asarray(draw(parameters, uniforms, 0.0))
    assert len(np.unique(cold)) == 1
    if name == "categorical":
        assert cold[0] == parameters[0].argmax()
    else:
        number = 1 if name == "gaussian" else 3
        component = parameters[0, :number].argmax() if number == 3 else 0
        mean = np.clip(parameters[0, -2 * number + component], -1, 1)
        assert abs(cold[0] - (mean * 128 + 128)) <= 1
    surprises = [
        -bits(name, num_classes, parameters[:1], np.asarray(draw(parameters, uniforms, t))[None])
        for t in (0.5, 1.0, 2.0)
    ]
    assert surprises[0].mean() < surprises[1].mean() < surprises[2].mean()


@functools.cache
def score_and_gradient(name: str, num_classes: int) -> Any:
    distribution = distributions.make(name, num_classes, 3)

    def total(parameters, codes):
        return jnp.sum(distribution.log_prob_bits(parameters, codes))

    return jax.jit(jax.value_and_grad(total))


@every_mixture
@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(data=st.data())
def test_nothing_overflows(name: str, data: Any) -> None:
    """Any numbers, any code: the score and its gradients are finite."""
    num_classes = data.draw(st.sampled_from(CLASSES))
    size = distributions.make(name, num_classes, 3).num_parameters
    number = st.one_of(
        st.floats(-1e4, 1e4, width=32),
        st.floats(-12, 2, width=32),
        st.sampled_from([0.0, 1.0, -1.0]),
    )
    parameters = np.array([data.draw(st.lists(number, min_size=size, max_size=size))], np.float32)
    ends = st.sampled_from([0, 1, num_classes // 2, num_classes - 2, num_classes - 1])
    codes = np.array([data.draw(st.one_of(ends, st.integers(0, num_classes - 1)))])
    value, gradient = score_and_gradient(name, num_classes)(parameters, codes)
    assert np.isfinite(value)
    assert value <= 1e-4
    assert np.isfinite(gradient).all()


@every_output
@pytest.mark.parametrize("sound", ["silence", "clipped", "square wave"])
def test_learning_the_simplest_sounds_stays_finite(name: str, sound: str) -> None:
    """Gradient steps on parameters in bfloat16, at sounds that drive scales to their floor."""
    num_classes = 256 if name == "categorical" else 65536
    distribution = distributions.make(name, num_classes, 3)
    last = num_classes - 1
    codes = {
        "silence": np.full(64, num_classes // 2),
        "clipped": np.full(64, last),
        "square wave": np.tile([0, last], 32),
    }[sound]

    def loss(parameters):
        rounded = jnp.tile(parameters.astype(jnp.bfloat16).astype(jnp.float32)[None], (64, 1))
        return -jnp.mean(distribution.log_prob_bits(rounded, jnp.asarray(codes)))

    step = jax.jit(jax.value_and_grad(loss))
    parameters = jnp.asarray(distribution.initial_bias())
    values = []
    for _ in range(200):
        value, gradient = step(parameters)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        parameters = parameters - 0.3 * gradient / jnp.maximum(jnp.linalg.norm(gradient), 1)
        values.append(float(value))
    assert values[-1] < values[0] - 0.5


@every_output
def test_the_first_guess(name: str) -> None:
    """Uniform for a softmax; a mixture's components differ, and none is lost."""
    distribution = distributions.make(name, 256, 4)
    bias = distribution.initial_bias()
    assert bias.shape == (distribution.num_parameters,)
    assert bias.dtype == np.float32
    every = jnp.arange(256)
    scores = distribution.log_prob_bits(jnp.tile(jnp.asarray(bias)[None], (256, 1)), every)
    assert scores.min() > -30
    if name == "categorical":
        np.testing.assert_allclose(scores, -8, atol=1e-5)
    elif name != "gaussian":
        assert len(set(bias[4:8])) == 4


def test_a_number_next_to_one_is_the_last_code() -> None:
    logits = jnp.zeros((1, 16))
    last = np.nextafter(np.float32(1), np.float32(0))
    assert Categorical(16).sample(logits, jnp.asarray([last]))[0] == 15
    assert Categorical(16).sample(logits, jnp.asarray([0.0]))[0] == 0


NEXT_TO_ONE = np.float32(1 - 2**-24)


def draw_codes(logits: np.ndarray, uniforms: Any, temperature: float) -> np.ndarray:
    distribution = Categorical(logits.shape[1])
    return np.asarray(distribution.sample(jnp.asarray(logits), jnp.asarray(uniforms), temperature))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_draws_invert_the_cumulative_softmax(temperature: float) -> None:
    """Against float64; a draw may be the neighbour where u falls on an edge."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 256)).astype(np.float32)
    uniforms = random.random(4000).astype(np.float32)
    drawn = draw_codes(logits, uniforms, temperature)
    cumulative = np.cumsum(special.softmax(logits.astype(np.float64) / temperature, axis=1), axis=1)
    lower = np.where(drawn > 0, cumulative[np.arange(4000), drawn - 1], 0)
    assert np.all(lower <= uniforms + 1e-6)
    assert np.all(uniforms <= cumulative[np.arange(4000), drawn] + 1e-6)
    assert np.mean(drawn == np.sum(cumulative <= uniforms[:, None], axis=1)) > 0.999


def test_each_number_may_have_its_temperature() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (90, 256)).astype(np.float32)
    uniforms, temperatures = random.random(90), np.tile([0.0, 0.7, 1.3], 30)
    drawn = draw_codes(logits, np.float32(uniforms), np.float32(temperatures))
    for each in (0.0, 0.7, 1.3):
        alone = draw_codes(logits, np.float32(uniforms), each)
        np.testing.assert_array_equal(drawn[temperatures == each], alone[temperatures == each])
    assert len({draw_codes(logits, np.float32(uniforms), each).tobytes() for each in (0, 0.7)}) == 2


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    seed=st.integers(0, 9), top_p=st.floats(1e-3, 1.0), spread=st.sampled_from([0.1, 2.0, 9.0])
)
def test_top_p_keeps_the_fewest_likeliest_codes(seed: int, top_p: float, spread: float) -> None:
    """Against a sort in float64; where the sum meets top_p to rounding, one code more or fewer."""
    logits = np.random.default_rng(seed).normal(0, spread, 64)
    weights = np.exp(logits - logits.max()).astype(np.float32)
    kept = np.asarray(distributions.keep_likeliest(jnp.asarray(weights), np.float32(top_p)))
    order = np.argsort(-weights)
    shares = np.cumsum(weights[order].astype(np.float64)) / weights.sum(dtype=np.float64)
    fewest = int(np.sum(shares < top_p - 1e-5)) + 1
    most = int(np.sum(shares < top_p + 1e-5)) + 1
    np.testing.assert_array_equal(kept[order[:fewest]], weights[order[:fewest]])
    # Weights below 2^-24 of the largest are not told from one another.
    is_tiny = weights[order] < 2.0**-23
    assert np.all((kept[order[most:]] == 0) | is_tiny[most:])


def test_codes_of_one_probability_are_kept_or_not_together() -> None:
    weights = jnp.float32([0.25, 1.0, 0.5, 0.5, 0.25, 0.5])
    for top_p, kept in ((0.2, [1]), (0.34, [1, 2, 3, 5]), (0.84, [0, 1, 2, 3, 4, 5])):
        found = np.flatnonzero(distributions.keep_likeliest(weights, np.float32(top_p)))
        assert found.tolist() == kept


def test_the_least_top_p_is_temperature_0() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (500, 256)).astype(np.float32)
    uniforms = jnp.asarray(random.random(500).astype(np.float32))
    distribution = Categorical(256)
    likeliest = distribution.sample(jnp.asarray(logits), uniforms, 0.0)
    np.testing.assert_array_equal(
        distribution.sample(jnp.asarray(logits), uniforms, 1.0, 1e-9), likeliest
    )
    np.testing.assert_array_equal(likeliest, logits.argmax(axis=1))


@every_mixture
def test_a_mixture_has_no_top_p(name: str) -> None:
    distribution = distributions.make(name, 256, 3)
    parameters = np.zeros((2, distribution.num_parameters), np.float32)
    with pytest.raises(InputError, match="top_p is for the output 'categorical': leave it out."):
        distribution.sample(parameters, np.float32([0.5, 0.5]), 1.0, 0.9)


@pytest.mark.parametrize("uniform", [0.0, NEXT_TO_ONE])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_ends_stay_in_range(uniform: float, temperature: float) -> None:
    """Whatever the logits, and never a code that the distribution rules out."""
    logits = np.zeros((6, 256), np.float32)
    logits[0] = 80 * np.random.default_rng(3).normal(0, 1, 256)
    logits[1, 0] = logits[2, 255] = 1e4  # all the mass at an end
    logits[3, :255] = logits[4, 1:] = -1e4
    drawn = draw_codes(logits, np.full(6, uniform, np.float32), temperature)
    assert drawn.min() >= 0
    assert drawn.max() <= 255
    assert drawn[1:5].tolist() == [0, 255, 255, 0]


@pytest.mark.parametrize("uniform", [0.0, 1e-30, NEXT_TO_ONE, 1.0])
@pytest.mark.parametrize("num_classes", [16, 256, 4096])
def test_an_improbable_end_is_never_drawn(uniform: float, num_classes: int) -> None:
    """Codes of p = 1e-30 at both ends: an exact 0 drew the first of them, a full-scale click."""
    logits = np.zeros((3, num_classes), np.float32)
    logits[:, [0, 1, -2, -1]] = np.log(1e-30)
    logits[1, 3:-3] = np.random.default_rng(1).normal(0, 3, num_classes - 6)
    logits[2] *= 3e-3  # probable enough
    drawn = draw_codes(logits, np.full(3, uniform, np.float32), 1.0)
    last = uniform > 0.5
    assert drawn[:2].tolist() == [num_classes - 3 if last else 2] * 2
    assert drawn[2] == (num_classes - 1 if last else 0)


@pytest.mark.parametrize("uniform", [0.0, NEXT_TO_ONE, 1.0])
@pytest.mark.parametrize("name", ["logistic_mixture", "gaussian_mixture"])
def test_an_improbable_component_is_never_drawn(name: str, uniform: float) -> None:
    """Of components at -1, 0 and 1, of which but the middle one has a weight."""
    logits, means = [-69.0, 0.0, -69.0], [-1.0, 0.0, 1.0]
    parameters = np.float32([[*logits, *means, -6.0, -6.0, -6.0]])
    drawn = distributions.make(name, 256, 3).sample(parameters, np.float32([uniform]))
    assert abs(int(drawn[0]) - 128) < 10


@every_mixture
@pytest.mark.parametrize("uniform", [0.0, NEXT_TO_ONE])
def test_a_mixture_draws_codes_whatever_the_numbers(name: str, uniform: float) -> None:
    distribution = distributions.make(name, 65536, 3)
    parameters = np.full((2, distribution.num_parameters), 1e9, np.float32)
    parameters[1] *= -1
    drawn = distribution.sample(parameters, np.full(2, uniform, np.float32), 1.0)
    assert drawn.min() >= 0
    assert drawn.max() <= 65535


def test_names() -> None:
    assert isinstance(distributions.make("categorical", 256, 3), Categorical)
    assert distributions.make("gaussian", 256, 3) == Mixture("gaussian", 256, 1)
    with pytest.raises(InputError, match="There is no output 'beta': use one of categorical, "):
        distributions.make("beta", 256, 3)
