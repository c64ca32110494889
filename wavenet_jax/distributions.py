"""Output distributions: of a sample's code, from the numbers that the model gives.

All of them are over the K integer codes, so that their scores compare. Code c has the
value (c - K/2) / (K/2) in [-1, 1) and owns the cell of values around it, 2/K wide; the
first code owns all below as well and the last all above (PixelCNN++, Salimans et al.,
2017, equation 2). So the probabilities of a continuous distribution sum to one.

* `Categorical`: a softmax over the codes (section 2.2 of the paper).
* `Mixture` of logistics (Parallel WaveNet, van den Oord et al., 2017) or of Gaussians,
  and the single `Gaussian` (ClariNet, Ping et al., 2018).

Samples take their randomness as one uniform number each, through the inverse of the
cumulative distribution. All of it computes in float32, whatever the layers do.
"""

import abc
import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtri

from wavenet_jax.errors import InputError

OUTPUTS = ("categorical", "logistic_mixture", "gaussian_mixture", "gaussian")

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(7)


class Distribution(abc.ABC):
    """Of codes; `[..., P]` numbers a sample, P = `num_parameters`."""

    num_classes: int

    @property
    @abc.abstractmethod
    def num_parameters(self) -> int:
        """P."""

    @abc.abstractmethod
    def initial_bias(self) -> np.ndarray:
        """The model's first guess, float32 `[P]`."""

    @abc.abstractmethod
    def log_prob_bits(self, parameters: jax.Array, codes: jax.Array) -> jax.Array:
        """log2 of the probability of codes `[...]`, float32 `[...]`, at most 0."""

    @abc.abstractmethod
    def sample(
        self, parameters: jax.Array, uniforms: jax.Array, temperature: jax.Array | float = 1.0
    ) -> jax.Array:
        """The codes at which the cumulative distribution passes uniform numbers.

        Args:
          parameters: shape `[..., P]`.
          uniforms: in [0, 1), shape `[...]`.
          temperature: divides logits, multiplies scales; 0 takes the likeliest code, or
            the mean of the likeliest component.

        Returns:
          int32 `[...]`.
        """

    @abc.abstractmethod
    def mean(self, parameters: jax.Array) -> jax.Array:
        """The expected value, float32 `[...]` in [-1, 1]."""

    @abc.abstractmethod
    def mode(self, parameters: jax.Array) -> jax.Array:
        """The likeliest code, int32 `[...]`; of a mixture the likeliest of the two ends and
        of the codes in which its components' means lie."""

    def _value(self, codes: jax.Array) -> jax.Array:
        half = self.num_classes // 2
        return (codes - half).astype(jnp.float32) / half

    def _code(self, values: jax.Array) -> jax.Array:
        """Of the cell in which values lie."""
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
        self, parameters: jax.Array, uniforms: jax.Array, temperature: jax.Array | float = 1.0
    ) -> jax.Array:
        return _inverse_cumulative(parameters, uniforms, temperature)[0]

    def mean(self, parameters: jax.Array) -> jax.Array:
        values = self._value(jnp.arange(self.num_classes))
        return jax.nn.softmax(parameters, axis=-1) @ values

    def mode(self, parameters: jax.Array) -> jax.Array:
        return jnp.argmax(parameters, axis=-1).astype(jnp.int32)


MAX_MEAN, MAX_LOG_SCALE = 1e3, 7.0
"""Of a component, and -MAX_MEAN the least."""

MIN_WEIGHT = 2.0**-40
"""Of a class or component relative to the likeliest: below it none is drawn, though rounding of the
cumulative distribution may lead there."""

MIN_WITHIN = 2.0**-24
"""Of a component's cumulative distribution, where a sample is drawn from it."""


@dataclasses.dataclass(frozen=True)
class Mixture(Distribution):
    """Of M logistics or Gaussians, cut into cells.

    Parameters: M logits of the components, M means, M natural logarithms of scales (a
    logistic's s, a Gaussian's standard deviation). A single component has no logit.
    A scale is not taken to be less than an eighth of a cell, nor more than e^7.
    """

    kind: Literal["logistic", "gaussian"]
    num_classes: int
    num_components: int

    @property
    def min_log_scale(self) -> float:
        """An eighth of a cell's."""
        return float(np.log(0.25 / self.num_classes))

    @property
    def num_parameters(self) -> int:
        return 2 if self.num_components == 1 else 3 * self.num_components

    def initial_bias(self) -> np.ndarray:
        # Apart, so that the components learn apart; each as wide as loud speech.
        number = self.num_components
        means = np.linspace(-0.5, 0.5, number) if number > 1 else np.zeros(1)
        logits = np.zeros(number if number > 1 else 0)
        return np.concatenate([logits, means, np.full(number, np.log(0.2))]).astype(np.float32)

    def log_prob_bits(self, parameters: jax.Array, codes: jax.Array) -> jax.Array:
        logits, means, log_scales = self._split(parameters)
        # From the cell's middle, in scales; codes and means meet at full precision.
        scaled = jnp.exp(-log_scales)
        from_mean = (self._value(codes)[..., None] - means) * scaled
        half_cell = scaled / self.num_classes
        whole = _log_logistic_cell if self.kind == "logistic" else _log_gaussian_cell
        tail = jax.nn.log_sigmoid if self.kind == "logistic" else log_ndtr
        upper, lower = from_mean + half_cell, from_mean - half_cell
        is_first = (codes == 0)[..., None]
        is_last = (codes == self.num_classes - 1)[..., None]
        # What lies beyond an end belongs to the end: its cell is a tail.
        at_end = tail(jnp.where(is_first, upper, -lower))
        log_prob = jnp.where(is_first | is_last, at_end, whole(from_mean, half_cell))
        log_weights = jax.nn.log_softmax(logits, axis=-1)
        return jax.nn.logsumexp(log_weights + log_prob, axis=-1) / np.log(2)

    def sample(
        self, parameters: jax.Array, uniforms: jax.Array, temperature: jax.Array | float = 1.0
    ) -> jax.Array:
        logits, means, log_scales = self._split(parameters)
        # What is left of the number within its component's share is uniform again.
        component, within = _inverse_cumulative(logits, uniforms, temperature)
        pick = component[..., None]
        mean = jnp.take_along_axis(means, pick, axis=-1)[..., 0]
        scale = jnp.exp(jnp.take_along_axis(log_scales, pick, axis=-1)[..., 0])
        within = jnp.clip(within, MIN_WITHIN, 1 - MIN_WITHIN)
        if self.kind == "logistic":
            deviation = jnp.log(within) - jnp.log1p(-within)
        else:
            deviation = ndtri(within)
        return self._code(mean + temperature * scale * deviation)

    def mean(self, parameters: jax.Array) -> jax.Array:
        logits, means, _ = self._split(parameters)
        return jnp.sum(jax.nn.softmax(logits, axis=-1) * jnp.clip(means, -1, 1), axis=-1)

    def mode(self, parameters: jax.Array) -> jax.Array:
        _, means, _ = self._split(parameters)
        below, above = (jnp.full_like(means[..., :1], end) for end in (-2.0, 2.0))
        means = jnp.concatenate([means, below, above], axis=-1)
        codes = jnp.moveaxis(self._code(means), -1, 0)
        scores = jax.vmap(self.log_prob_bits, in_axes=(None, 0))(parameters, codes)
        best = jnp.argmax(scores, axis=0)
        return jnp.take_along_axis(codes, best[None], axis=0)[0]

    def _split(self, parameters: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Logits, means and log scales, `[..., M]`, in float32."""
        parameters = parameters.astype(jnp.float32)
        if self.num_components == 1:
            means, log_scales = jnp.split(parameters, 2, axis=-1)
            logits = jnp.zeros_like(means)
        else:
            logits, means, log_scales = jnp.split(parameters, 3, axis=-1)
        means = jnp.clip(means, -MAX_MEAN, MAX_MEAN)
        return logits, means, jnp.clip(log_scales, self.min_log_scale, MAX_LOG_SCALE)


def make(name: str, num_classes: int, num_components: int) -> Distribution:
    """The distribution of that name, one of `OUTPUTS`.

    Raises:
      InputError: there is none of that name.
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


def _inverse_cumulative(
    logits: jax.Array, uniforms: jax.Array, temperature: jax.Array | float
) -> tuple[jax.Array, jax.Array]:
    """The class at which the cumulative softmax passes a number, int32 `[...]`, and how
    far within the class it does, in [0, 1)."""
    logits = logits / jnp.maximum(temperature, 1e-6)
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    cumulative = jnp.cumsum(weights, axis=-1)
    # The total is that of the same sum, so that rounding cannot leave a gap.
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
    # Either branch is fed what it can take, so that no gradient is lost to the other's.
    m, h = jnp.where(is_narrow, from_mean, 0.0), jnp.where(is_narrow, half_cell, 0.1)
    points = [(float(w), h * float(v)) for v, w in zip(_NODES, _WEIGHTS, strict=True)]
    integral = sum(w * jnp.exp(-m * u - u**2 / 2) for w, u in points)
    narrow = -(m**2) / 2 - 0.5 * np.log(2 * np.pi) + jnp.log(h * integral)
    # In the lower tail, by symmetry, where both are small and told apart.
    m, h = jnp.where(is_narrow, 0.0, -jnp.abs(from_mean)), jnp.where(is_narrow, 1.0, half_cell)
    upper, lower = log_ndtr(m + h), log_ndtr(m - h)
    wide = upper + jnp.log(-jnp.expm1(jnp.minimum(lower - upper, -1e-6)))
    return jnp.where(is_narrow, narrow, wide)
