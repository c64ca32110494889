"""Output distributions of a sample's code, parameterised by the model's outputs.

All of them are over the K integer codes, so that their scores are comparable. Code c has the
value (c - K/2) / (K/2) in [-1, 1) and the cell of values around it, 2/K wide; the cell of the
first code extends to -infinity and that of the last to infinity (PixelCNN++, Salimans et al.,
2017, equation 2). So the probabilities of a continuous distribution sum to one.

* `Categorical`: a softmax over the codes (section 2.2 of the paper).
* `Mixture` of logistics (Parallel WaveNet, van den Oord et al., 2017) or of Gaussians,
  and the single `Gaussian` (ClariNet, Ping et al., 2018).

A sample is drawn from one uniform number by the inverse of the cumulative distribution.
Everything is computed in float32, whatever the dtype of the layers.
"""

import abc
import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtri

from wavenet_jax.errors import InputError

OUTPUTS = ("categorical", "logistic_mixture", "gaussian_mixture", "gaussian")

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(7)


class Distribution(abc.ABC):
    """A distribution of codes given `[..., P]` numbers, P being `num_parameters`."""

    num_classes: int

    @property
    @abc.abstractmethod
    def num_parameters(self) -> int:
        """P."""

    @abc.abstractmethod
    def initial_bias(self) -> np.ndarray:
        """The initial numbers, float32 `[P]`."""

    @abc.abstractmethod
    def log_prob_bits(self, parameters: jax.Array, codes: jax.Array) -> jax.Array:
        """log2 of the probability of codes `[...]`, float32 `[...]`, at most 0."""

    @abc.abstractmethod
    def sample(
        self,
        parameters: jax.Array,
        uniforms: jax.Array,
        temperature: jax.Array | float = 1.0,
        top_p: jax.Array | float | None = None,
    ) -> jax.Array:
        """The codes at which the cumulative distribution passes uniform numbers.

        Args:
          parameters: shape `[..., P]`.
          uniforms: shape `[...]`, clipped to `MIN_WITHIN` and 1 - `MIN_WITHIN`.
          temperature: one, or one for each number `[...]`; divides logits, multiplies scales; 0
            gives the likeliest code, or the mean of the likeliest component.
          top_p: of a `Categorical` alone: draws among the fewest likeliest codes that have this
            probability together (`keep_likeliest`); None among all.

        Returns:
          int32 `[...]`.
        """

    def _value(self, codes: jax.Array) -> jax.Array:
        half = self.num_classes // 2
        return (codes - half).astype(jnp.float32) / half

    def code(self, values: jax.Array) -> jax.Array:
        """The codes of the cells in which values lie."""
        half = self.num_classes // 2
        steps = jnp.floor(jnp.clip(values, -2, 2) * half + 0.5).astype(jnp.int32)
        return jnp.clip(steps + half, 0, self.num_classes - 1)


@dataclasses.dataclass(frozen=True)
class Categorical(Distribution):
    """A softmax; the parameters are its logits `[..., K]`."""

    num_classes: int

    @property
    def num_parameters(self) -> int:
        return self.num_classes

    def initial_bias(self) -> np.ndarray:
        return np.zeros(self.num_classes, np.float32)

    def log_prob_bits(self, parameters: jax.Array, codes: jax.Array) -> jax.Array:
        picked = jnp.take_along_axis(parameters, codes[..., None], axis=-1)[..., 0]
        return (picked - jax.nn.logsumexp(parameters, axis=-1)) / np.log(2)

    def sample(
        self,
        parameters: jax.Array,
        uniforms: jax.Array,
        temperature: jax.Array | float = 1.0,
        top_p: jax.Array | float | None = None,
    ) -> jax.Array:
        return _inverse_cumulative(parameters, uniforms, temperature, top_p)[0]


MAX_MEAN, MAX_LOG_SCALE = 1e3, 7.0
"""The largest mean, -MAX_MEAN being the least, and the largest log scale of a component."""

MIN_WEIGHT = 2.0**-40
"""Of a class or component relative to the likeliest: below it none is drawn, though rounding of the
cumulative distribution may lead there."""

MIN_WITHIN = 2.0**-24
"""The least uniform number, and 1 - MIN_WITHIN the largest: an exact 0 would draw the first
code, and a number that rounds to 1 the last, however improbable they are."""


@dataclasses.dataclass(frozen=True)
class Mixture(Distribution):
    """A mixture of M logistics or Gaussians, integrated over cells.

    Parameters: M logits of the components, M means, M natural logarithms of scales (a
    logistic's s, a Gaussian's standard deviation). A single component has no logit.
    A scale is clipped to an eighth of a cell and to e^7.
    """

    kind: Literal["logistic", "gaussian"]
    num_classes: int
    num_components: int

    @property
    def min_log_scale(self) -> float:
        """That of an eighth of a cell."""
        return float(np.log(0.25 / self.num_classes))

    @property
    def num_parameters(self) -> int:
        return 2 if self.num_components == 1 else 3 * self.num_components

    def initial_bias(self) -> np.ndarray:
        # Distinct means, so that the components learn distinct ones; as wide as loud speech.
        number = self.num_components
        means = np.linspace(-0.5, 0.5, number) if number > 1 else np.zeros(1)
        logits = np.zeros(number if number > 1 else 0)
        return np.concatenate([logits, means, np.full(number, np.log(0.2))]).astype(np.float32)

    def log_prob_bits(self, parameters: jax.Array, codes: jax.Array) -> jax.Array:
        logits, means, log_scales = self.split(parameters)
        # From the cell's middle, in scales; codes and means meet at full precision.
        scaled = jnp.exp(-log_scales)
        from_mean = (self._value(codes)[..., None] - means) * scaled
        half_cell = scaled / self.num_classes
        whole = _log_logistic_cell if self.kind == "logistic" else _log_gaussian_cell
        tail = jax.nn.log_sigmoid if self.kind == "logistic" else log_ndtr
        upper, lower = from_mean + half_cell, from_mean - half_cell
        is_first = (codes == 0)[..., None]
        is_last = (codes == self.num_classes - 1)[..., None]
        # The first and the last cell are tails.
        at_end = tail(jnp.where(is_first, upper, -lower))
        log_prob = jnp.where(is_first | is_last, at_end, whole(from_mean, half_cell))
        log_weights = jax.nn.log_softmax(logits, axis=-1)
        return jax.nn.logsumexp(log_weights + log_prob, axis=-1) / np.log(2)

    def sample(
        self,
        parameters: jax.Array,
        uniforms: jax.Array,
        temperature: jax.Array | float = 1.0,
        top_p: jax.Array | float | None = None,
    ) -> jax.Array:
        if top_p is not None:
            raise InputError("top_p is for the output 'categorical': leave it out.")
        logits, means, log_scales = self.split(parameters)
        # The place of the number within its component's share is again uniform.
        component, within = _inverse_cumulative(logits, uniforms, temperature, None)
        pick = component[..., None]
        mean = jnp.take_along_axis(means, pick, axis=-1)[..., 0]
        scale = jnp.exp(jnp.take_along_axis(log_scales, pick, axis=-1)[..., 0])
        within = jnp.clip(within, MIN_WITHIN, 1 - MIN_WITHIN)
        if self.kind == "logistic":
            deviation = jnp.log(within) - jnp.log1p(-within)
        else:
            deviation = ndtri(within)
        return self.code(mean + temperature * scale * deviation)

    def split(self, parameters: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Logits, means and log scales, `[..., M]`, in float32."""
        parameters = parameters.astype(jnp.float32)
        if self.num_components == 1:
            means, log_scales = jnp.split(parameters, 2, axis=-1)
            logits = jnp.zeros_like(means)
        else:
            logits, means, log_scales = jnp.split(parameters, 3, axis=-1)
        means = jnp.clip(means, -MAX_MEAN, MAX_MEAN)
        return logits, means, jnp.clip(log_scales, self.min_log_scale, MAX_LOG_SCALE)


class Gaussian(NamedTuple):
    """Gaussians of values, in [-1, 1) where codes lie.

    Attributes:
      mean: float32 `[...]`.
      log_scale: natural logarithms of the standard deviations, float32 `[...]`.
    """

    mean: jax.Array
    log_scale: jax.Array


def gaussian_of(distribution: Distribution, parameters: jax.Array) -> Gaussian:
    """The Gaussians `[...]` of the output "gaussian", of which `[..., 2]` are the parameters."""
    assert isinstance(distribution, Mixture) and distribution.num_parameters == 2
    _, means, log_scales = distribution.split(parameters)
    return Gaussian(means[..., 0], log_scales[..., 0])


def make(name: str, num_classes: int, num_components: int) -> Distribution:
    """The distribution of that name, one of `OUTPUTS`.

    Raises:
      InputError: another name.
    """
    if name == "categorical":
        return Categorical(num_classes)
    if name == "logistic_mixture":
        return Mixture("logistic", num_classes, num_components)
    if name == "gaussian_mixture":
        return Mixture("gaussian", num_classes, num_components)
    if name == "gaussian":
        return Mixture("gaussian", num_classes, 1)
    raise InputError(f"There is no output {name!r}: use one of {', '.join(OUTPUTS)}.")


NUCLEUS_STEPS = 25
"""Of the bisection in `keep_likeliest`: to 2^-24, and the first step tries the likeliest alone."""


def keep_likeliest(weights: jax.Array, top_p: jax.Array | float) -> jax.Array:
    """Zero for all but the fewest largest weights that are at least `top_p` of their sum (top-p or
    nucleus sampling, Holtzman et al., 2020).

    The smallest weight that is kept is found by bisection, in every backend with the same numbers;
    weights that differ by less than 2^-24 are kept or not together.

    Args:
      weights: `[..., K]`, the largest 1.
      top_p: above 0, up to 1.
    """
    needed = top_p * jnp.sum(weights, axis=-1, keepdims=True)

    def halve(_: Any, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds  # the weights from `low` on suffice, those from `high` on do not
        middle = 0.5 * (low + high)
        kept = jnp.sum(jnp.where(weights >= middle, weights, 0.0), axis=-1, keepdims=True)
        suffice = kept >= needed
        return jnp.where(suffice, middle, low), jnp.where(suffice, high, middle)

    bounds = jnp.zeros_like(needed), jnp.full_like(needed, 2.0)
    low, _ = jax.lax.fori_loop(0, NUCLEUS_STEPS, halve, bounds)
    return jnp.where(weights >= low, weights, 0.0)


def _inverse_cumulative(
    logits: jax.Array,
    uniforms: jax.Array,
    temperature: jax.Array | float,
    top_p: jax.Array | float | None,
) -> tuple[jax.Array, jax.Array]:
    """The class at which the cumulative softmax passes a uniform number, int32 `[...]`, and
    where within the class it does, in [0, 1)."""
    uniforms = jnp.clip(uniforms, MIN_WITHIN, 1 - MIN_WITHIN)
    temperature = jnp.broadcast_to(jnp.maximum(temperature, 1e-6), uniforms.shape)
    logits = logits / temperature[..., None]
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    if top_p is not None:
        weights = keep_likeliest(weights, top_p)
    cumulative = jnp.cumsum(weights, axis=-1)
    # Below the total, since 1 - MIN_WITHIN is: the class passed has a share of the sum.
    place = uniforms * cumulative[..., -1]
    # Rounding of the sums may lead to an impossible class: the next possible one, or the last.
    possible = weights > MIN_WEIGHT
    classes = jax.lax.broadcasted_iota(jnp.int32, weights.shape, weights.ndim - 1)
    passes = possible & (cumulative > place[..., None])
    first = jnp.min(jnp.where(passes, classes, weights.shape[-1]), axis=-1)
    index = jnp.minimum(first, jnp.max(jnp.where(possible, classes, 0), axis=-1))
    weight = jnp.take_along_axis(weights, index[..., None], axis=-1)[..., 0]
    end = jnp.take_along_axis(cumulative, index[..., None], axis=-1)[..., 0]
    return index, 1 - (end - place) / jnp.maximum(weight, 1e-30)


def _log_logistic_cell(from_mean: jax.Array, half_cell: jax.Array) -> jax.Array:
    """ln(sigmoid(a) - sigmoid(b)), a, b = from_mean +- half_cell, all in scales.

    It is ln(sigmoid(a) sigmoid(-b) (1 - exp(b - a))): nothing cancels.
    """
    a, b = from_mean + half_cell, from_mean - half_cell
    width = jnp.log(-jnp.expm1(-2 * half_cell))
    return jax.nn.log_sigmoid(a) + jax.nn.log_sigmoid(-b) + width


def _log_gaussian_cell(from_mean: jax.Array, half_cell: jax.Array) -> jax.Array:
    """ln(Phi(a) - Phi(b)), a, b = from_mean +- half_cell, all in scales.

    A narrow cell is integrated (Gauss and Legendre, 7 nodes) around the density at its
    middle; a wide one, or one far out, is a difference of tails that differ.
    """
    is_narrow = (half_cell < 0.5) & (jnp.abs(from_mean) * half_cell < 2)
    # Each branch gets valid numbers, so that the gradient of the other is finite.
    m, h = jnp.where(is_narrow, from_mean, 0.0), jnp.where(is_narrow, half_cell, 0.1)
    points = [(float(w), h * float(v)) for v, w in zip(_NODES, _WEIGHTS, strict=True)]
    integral = sum(w * jnp.exp(-m * u - u**2 / 2) for w, u in points)
    narrow = -(m**2) / 2 - 0.5 * np.log(2 * np.pi) + jnp.log(h * integral)
    # In the lower tail, by symmetry, where both are small and distinct in floating point.
    m, h = jnp.where(is_narrow, 0.0, -jnp.abs(from_mean)), jnp.where(is_narrow, 1.0, half_cell)
    upper, lower = log_ndtr(m + h), log_ndtr(m - h)
    wide = upper + jnp.log(-jnp.expm1(jnp.minimum(lower - upper, -1e-6)))
    return jnp.where(is_narrow, narrow, wide)
