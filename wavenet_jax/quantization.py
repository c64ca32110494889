"""Quantisation of 16-bit samples to the integer codes that the model predicts.

A code c of K stands for the value (c - K/2) / (K/2) in [-1, 1): the scalar input, and the
domain of the continuous output distributions. With companding "mu_law" the values are spaced
as in the paper's section 2.2; with "linear" evenly, and 65,536 linear codes are the 16-bit
samples themselves.
"""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import mulaw
from wavenet_jax.errors import ConfigError

_OWNER = "The model"


@dataclasses.dataclass(frozen=True)
class Quantizer:
    """Samples to codes and back.

    Attributes:
      num_classes: K, the number of codes; 2 to 65,536, even, and a power of two if they
        are linear.
      companding: "mu_law" or "linear".

    Raises:
      ConfigError: another number or companding.
    """

    num_classes: int = 256
    companding: Literal["mu_law", "linear"] = "mu_law"

    def __post_init__(self):
        if self.companding not in ("mu_law", "linear"):
            raise ConfigError(_OWNER, "companding", self.companding, "use one of mu_law, linear")
        if not 2 <= self.num_classes <= 65536 or self.num_classes % 2:
            remedy = "give an even number from 2 to 65536"
            raise ConfigError(_OWNER, "num_classes", self.num_classes, remedy)
        if self.companding == "linear" and 65536 % self.num_classes:
            remedy = "give a power of two for linear codes, such as 1024 for 10 bits"
            raise ConfigError(_OWNER, "num_classes", self.num_classes, remedy)

    @property
    def silence_code(self) -> int:
        """The code of 0.0, which precedes a recording."""
        return self.num_classes // 2

    @property
    def code_of_int16(self) -> np.ndarray:
        """Shape `[65536]`: the code of each sample from -32768 on."""
        if self.companding == "mu_law":
            return mulaw.codes_of_int16(self.num_classes)
        return _linear_codes(self.num_classes)

    def encode(self, samples) -> jax.Array:
        """Samples, int16 PCM or floats in [-1, 1] of any shape, to int32 codes.

        Raises:
          TypeError: any other type, whose full scale is not defined.
        """
        if self.companding == "mu_law":
            return mulaw.encode(samples, self.num_classes)
        samples = jnp.asarray(samples)
        half = self.num_classes // 2
        if samples.dtype == jnp.int16:
            table = jnp.asarray(_linear_codes(self.num_classes))
            return table[samples.astype(jnp.int32) + 32768].astype(jnp.int32)
        if not jnp.issubdtype(samples.dtype, jnp.floating):
            raise TypeError(
                f"Quantizer.encode takes int16 or floating samples, not {samples.dtype}: "
                "convert them first, for their full scale is not defined."
            )
        steps = jnp.floor(samples.astype(jnp.float32) * half + 0.5)
        return jnp.clip(steps + half, 0, self.num_classes - 1).astype(jnp.int32)

    def decode_int16(self, codes) -> jax.Array:
        """Codes, integers of any shape, to int16 PCM."""
        if self.companding == "mu_law":
            return mulaw.decode_int16(codes, self.num_classes)
        half = self.num_classes // 2
        return ((jnp.asarray(codes) - half) * (32768 // half)).astype(jnp.int16)

    def values(self, codes) -> jax.Array:
        """Codes, integers of any shape, to float32 values in [-1, 1)."""
        half = self.num_classes // 2
        return (jnp.asarray(codes) - half).astype(jnp.float32) / half

    def amplitudes(self, values: jax.Array) -> jax.Array:
        """Values, of any shape, to the amplitudes in [-1, 1] that they stand for; with a slope,
        between codes too."""
        if self.companding == "linear":
            return jnp.clip(values, -1, 1)
        half = self.num_classes // 2
        companded = 2 * half * (values + 1) / (self.num_classes - 1) - 1
        return mulaw.expand(jnp.clip(companded, -1, 1), self.num_classes)


@functools.cache
def _linear_codes(num_classes: int) -> np.ndarray:
    """Shape `[65536]`, uint16: the code of the nearest level, silence being one."""
    samples = np.arange(-32768, 32768)
    levels = np.floor(samples * num_classes / 65536 + 0.5) + num_classes // 2
    return np.clip(levels, 0, num_classes - 1).astype(np.uint16)
