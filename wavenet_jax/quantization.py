"""Between 16-bit samples and the integer codes that the model is made of.

A code c of K stands for the value (c - K/2) / (K/2) in [-1, 1): what a scalar input
is, and where the continuous output distributions live. With companding "mu_law" the
values are spaced as in the paper's section 2.2; with "linear" evenly, and 65,536
linear codes are the 16-bit samples themselves.
"""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import mulaw
from wavenet_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Quantizer:
    """Attributes:
    num_classes: K, the number of codes; 2 to 65,536, even, and a power of two where they
      are linear.
    companding: "mu_law" or "linear".
    """

    num_classes: int = 256
    companding: Literal["mu_law", "linear"] = "mu_law"

    def __post_init__(self):
        if self.companding not in ("mu_law", "linear"):
            raise InputError(
                f"The model's companding is {self.companding!r}: use one of mu_law, linear."
            )
        if not 2 <= self.num_classes <= 65536 or self.num_classes % 2:
            raise InputError(
                f"The model's num_classes is {self.num_classes}: "
                "give an even number from 2 to 65536."
            )

        if self.companding == "linear" and 65536 % self.num_classes:
            raise InputError(
                f"The model's num_classes is {self.num_classes} linear codes: "
                "give a power of two, such as 1024 for 10 bits."
            )

    @property
    def silence_code(self) -> int:
        """The code of 0.0, which a recording is preceded by."""
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
          TypeError: for any other type, of which the range cannot be known.
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
                "convert them first, for their full scale is not known here."
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


@functools.cache
def _linear_codes(num_classes: int) -> np.ndarray:
    """Shape `[65536]`, uint16: the nearest level, silence being one."""
    samples = np.arange(-32768, 32768)
    levels = np.floor(samples * num_classes / 65536 + 0.5) + num_classes // 2
    return np.clip(levels, 0, num_classes - 1).astype(np.uint16)
