"""Conditioning: what else, besides its past, a sample depends on (section 2.5).

A *global* condition holds for a whole recording (the speaker); a *local* one
changes along it (phones, F0). Either comes as labels or as vectors, is mapped
to `channels` numbers by a map that all layers share, and from there enters
every layer's gates through a projection of the layer's own:

    z = W * x + V_g h + V_l y,     y(t) = h_local(frame of t).

No map has a bias, so a condition of zeros adds nothing: that is what stands
before a recording begins, where there is only silence (label -1 for labels).
"""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from wavenet_jax.errors import InputError

NO_LABEL = -1
"""The label of a place that has none; its embedding is zero."""


@dataclasses.dataclass(frozen=True)
class ConditionConfig:
    """One condition, global or local.

    Attributes:
      kind: "labels" (integers in [0, size), or -1 for none) or "vectors".
      size: the number of classes, or the vectors' width.
      channels: width of the map that all layers share.
      hop_samples: samples a frame of a local condition stands for: frame k
        covers samples [k * hop, (k + 1) * hop). A global condition has none.
    """

    kind: Literal["labels", "vectors"]
    size: int
    channels: int = 32
    hop_samples: int = 1

    def __post_init__(self):
        if self.kind not in ("labels", "vectors"):
            raise InputError(f"A condition's kind is {self.kind!r}: use 'labels' or 'vectors'.")
        for name in ("size", "channels", "hop_samples"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"A condition's {name} is {getattr(self, name)}: "
                    "give a whole number of at least 1."
                )


class ConditionEmbedding(nn.Module):
    """The map that all layers share: `[...]` labels or `[..., size]` to `[..., C]`."""

    config: ConditionConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, condition: jax.Array) -> jax.Array:
        size, channels = self.config.size, self.config.channels
        if self.config.kind == "vectors":
            dense = nn.Dense(channels, use_bias=False, dtype=self.dtype, name="map")
            return dense(condition)
        table = self.param("table", nn.initializers.normal(1.0), (size, channels))
        known = (condition >= 0)[..., None]
        rows = jnp.take(table, jnp.maximum(condition, 0), axis=0)
        return jnp.where(known, rows, 0).astype(self.dtype)


def upsample(frames: jax.Array, hop: int, offset: int, num_samples: int) -> jax.Array:
    """Repeats frames up to the sample rate.

    Args:
      frames: shape `[F, B, C]`.
      hop: samples a frame.
      offset: how many samples of the first frame are already past.
      num_samples: T.

    Returns:
      Shape `[T, B, C]`: sample i holds frame `(offset + i) // hop`.
    """
    if hop > 1:
        frames = jnp.repeat(frames, hop, axis=0)
    return jax.lax.slice_in_dim(frames, offset, offset + num_samples, axis=0)


def check(
    config: ConditionConfig | None,
    condition: jax.Array | None,
    name: str,
    leading: tuple[int, ...],
) -> None:
    """Refuses a condition that the model was not built for.

    Args:
      config: what the model was built for, or None.
      condition: what it is given, or None.
      name: "global" or "local", for the message.
      leading: the dimensions that must come first: `[B]` or `[B, F]`; a local
        condition may have more frames than F.

    Raises:
      InputError: one is None and the other is not, or the shapes do not fit.
    """
    if config is None and condition is None:
        return
    if config is None or condition is None:
        raise InputError(
            f"The model takes {'no' if config is None else 'a'} {name} condition, "
            f"and it was given {'none' if condition is None else 'one'}: "
            "pass what the checkpoint's config asks for."
        )
    want = leading + ((config.size,) if config.kind == "vectors" else ())
    have = condition.shape
    fits = len(have) == len(want) and have[0] == want[0]
    if fits and len(leading) == 2:
        fits = have[1] >= want[1]
    if fits and config.kind == "vectors":
        fits = have[-1] == config.size
    is_integer = jnp.issubdtype(condition.dtype, jnp.integer)
    if not fits or is_integer != (config.kind == "labels"):
        raise InputError(
            f"The {name} condition has shape {have} and type {condition.dtype}, where "
            f"the model needs {config.kind} of shape {want}: check its width and "
            f"length (hop {config.hop_samples} samples)."
        )
