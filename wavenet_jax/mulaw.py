"""Mu-law companding and 8-bit quantisation (paper section 2.2).

    f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu),   -1 <= x <= 1,  mu = 255

gives more of the 256 codes to samples near zero, where most of speech is. The companded
range [-1, 1] is cut into `num_classes` evenly spaced levels, the two ends
included, so -1.0 is code 0, +1.0 is code 255 and both decode exactly.
Silence, 0.0, lies halfway between codes 127 and 128 and is given to 128.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

INT16_SCALE = 32768.0
"""Full scale of 16-bit PCM: sample / 32768 is in [-1, 1)."""


def compand(x, num_classes: int = 256):
    """f(x): amplitudes in [-1, 1], any shape, to companded values in [-1, 1]."""
    xp = np if isinstance(x, np.ndarray) else jnp
    mu = num_classes - 1
    return xp.sign(x) * xp.log1p(mu * xp.abs(x)) / np.log1p(mu)


def expand(y, num_classes: int = 256):
    """The inverse of `compand`."""
    xp = np if isinstance(y, np.ndarray) else jnp
    mu = num_classes - 1
    return xp.sign(y) * xp.expm1(xp.abs(y) * np.log1p(mu)) / mu


@functools.cache
def codes_of_int16(num_classes: int) -> np.ndarray:
    """Shape `[65536]`, uint8 or uint16: the code of each 16-bit sample.

    Computed once in float64, so that every device gives a sample the same code.
    """
    # 32767, the largest positive sample, stands for +1.0.
    x = np.arange(-32768, 32768, dtype=np.float64) / INT16_SCALE
    x[-1] = 1.0
    y = compand(x, num_classes)
    codes = np.floor((y + 1) / 2 * (num_classes - 1) + 0.5)
    return codes.astype(np.uint8 if num_classes <= 256 else np.uint16)


@functools.cache
def _int16_of_codes(num_classes: int) -> np.ndarray:
    """Shape `[num_classes]`, int16."""
    y = 2 * np.arange(num_classes, dtype=np.float64) / (num_classes - 1) - 1
    x = np.round(expand(y, num_classes) * INT16_SCALE)
    return np.clip(x, -32768, 32767).astype(np.int16)


def encode(samples, num_classes: int = 256) -> jax.Array:
    """Samples to codes.

    Args:
      samples: any shape; int16 PCM, or floats in [-1, 1] (values beyond are
        clipped).
      num_classes: number of codes, mu + 1.

    Returns:
      int32 codes in [0, num_classes), of the same shape.

    Raises:
      TypeError: any other type, whose full scale is not defined.
    """
    samples = jnp.asarray(samples)
    if samples.dtype == jnp.int16:
        table = jnp.asarray(codes_of_int16(num_classes))
        return table[samples.astype(jnp.int32) + 32768].astype(jnp.int32)
    if not jnp.issubdtype(samples.dtype, jnp.floating):
        raise TypeError(
            f"mulaw.encode takes int16 or floating samples, not {samples.dtype}: "
            "convert them first, for their full scale is not defined."
        )
    y = compand(jnp.clip(samples.astype(jnp.float32), -1, 1), num_classes)
    return jnp.floor((y + 1) / 2 * (num_classes - 1) + 0.5).astype(jnp.int32)


def decode_int16(codes, num_classes: int = 256) -> jax.Array:
    """Codes, integers of any shape, to int16 PCM.

    `encode` inverts it exactly, up to 512 classes (more are finer than 16 bits).
    """
    return jnp.asarray(_int16_of_codes(num_classes))[jnp.asarray(codes)]
