"""Output distributions: from the model's numbers to probabilities and samples."""

import jax
import jax.numpy as jnp
import numpy as np


def categorical_log_prob_bits(logits: jax.Array, codes: jax.Array) -> jax.Array:
    """log2 p(code) under a softmax (section 2.2).

    Args:
      logits: shape `[..., K]`.
      codes: integers in [0, K), shape `[...]`.

    Returns:
      float32, shape `[...]`, at most 0.
    """
    picked = jnp.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]
    log_prob = picked - jax.nn.logsumexp(logits, axis=-1)
    return log_prob / np.log(2)


def categorical_sample(
    logits: jax.Array, uniforms: jax.Array, temperature: jax.Array | float = 1.0
) -> jax.Array:
    """The code at which the cumulative distribution passes a uniform number.

    Args:
      logits: shape `[..., K]`.
      uniforms: in [0, 1), shape `[...]`.
      temperature: divides the logits; 0 takes the likeliest code.

    Returns:
      int32 codes, shape `[...]`.
    """
    logits = logits / jnp.maximum(temperature, 1e-6)
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    cumulative = jnp.cumsum(weights, axis=-1)
    # The total is that of the same sum, so that rounding cannot leave a gap.
    passed = cumulative <= (uniforms[..., None] * cumulative[..., -1:])
    # A uniform next to 1 may round up to the total: the last code is still one.
    last = logits.shape[-1] - 1
    return jnp.minimum(jnp.sum(passed, axis=-1), last).astype(jnp.int32)
