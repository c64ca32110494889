"""Randomness of generation: one uniform number a sample.

The number of a sample is drawn from the key of its utterance folded with the sample's index, so
that a waveform depends on its key alone: not on batch, chunks, devices or backend.
"""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax.errors import InputError

_MIN_UNIFORM = 2.0**-24
"""What a number of exactly 0 becomes (jax draws multiples of 2^-23): it would draw the first code
however impossible that is."""


def utterance_keys(seed: int, indices) -> jax.Array:
    """Keys `[B]`: that of utterance i is the seed's folded with i.

    Args:
      seed: from 0 to 2^64 - 1.
      indices: of the utterances, each from 0 to 2^32 - 1.

    Raises:
      InputError: for any other seed or index.
    """
    try:
        seed = operator.index(seed)
    except TypeError:
        raise InputError(f"The seed is {seed!r}: give a whole number from 0 to 2^64 - 1.") from None
    if not 0 <= seed < 2**64:
        raise InputError(f"The seed is {seed}: give a number from 0 to 2^64 - 1.")
    indices = np.asarray(indices)
    if indices.size and (
        not np.issubdtype(indices.dtype, np.integer) or indices.min() < 0 or indices.max() >= 2**32
    ):
        raise InputError(
            f"The indices of the utterances are {indices}: give whole numbers from 0 to 2^32 - 1."
        )
    # Both words are given, for `jax.random.key` drops the upper one unless x64 is enabled.
    words = np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)
    key = jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32")
    return jax.vmap(functools.partial(jax.random.fold_in, key))(indices.astype(np.uint32))


def redrawn_keys(key: jax.Array, attempts) -> jax.Array:
    """Keys `[N]` of further drawings of one utterance.

    Args:
      key: of the utterance, a scalar; attempt 0 has it.
      attempts: numbers of the drawings, each from 0 to 2^31 - 1.
    """
    attempts = np.asarray(attempts, np.uint32)
    # Numbers that no sample's index has (`uniforms`).
    others = jax.vmap(functools.partial(jax.random.fold_in, key))(attempts + np.uint32(2**31))
    return jnp.where(attempts == 0, key, others)


@functools.partial(jax.jit, static_argnames="length")
def uniforms(keys: jax.Array, time: int | jax.Array, length: int) -> jax.Array:
    """Numbers in the open interval (0, 1), shape `[length, B]`, from sample `time` on.

    Args:
      keys: of the utterances, `[B]`.
      time: index of the first sample.
      length: how many samples.
    """

    def draw(index, key):
        return jax.random.uniform(jax.random.fold_in(key, index))

    over_keys = jax.vmap(draw, in_axes=(None, 0))
    over_samples = jax.vmap(over_keys, in_axes=(0, None))
    return jnp.maximum(over_samples(time + jnp.arange(length), keys), _MIN_UNIFORM)
