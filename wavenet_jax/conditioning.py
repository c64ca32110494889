"""Conditioning: what else, besides its past, a sample depends on (section 2.5).

A *global* condition holds for a whole recording (the speaker); a *local* one is a
series of frames along it (phones, F0, mel). Either is mapped to `channels` numbers
by a map that all layers share, and from there enters every layer's gates through a
projection of the layer's own:

    z = W * x + V_g h + V_l y,     y = upsampled h_local.

Frame k covers the samples [k * hop, (k + 1) * hop). How frames become samples:

* "repeat": a sample has its frame's value. Frame k touches the samples it covers.
* "linear": between the values at the middles of frames, kH + (H - 1) / 2. Frame k
  touches its own samples and those up to the middles of its neighbours.
* "transposed": transposed convolutions, one a factor (their product is the hop), of
  stride f and kernel 3 f: an output within input k sees inputs k - 1, k and k + 1.
  A leaky ReLU between them. They begin as a repetition.

The *reach* is how many frames beyond its own, on either side, a sample may see.
Beyond a recording's ends frames are none: zeros, or label -1. No map has a bias, so
such a frame adds nothing, and the samples that it covers have no local condition,
whatever their neighbours say: before a recording begins there is only silence.
"""

import dataclasses
import math
from typing import Literal

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax.errors import InputError

NO_LABEL = -1
"""The label of a place that has none; its embedding is zero."""

KINDS = ("labels", "tags", "vectors")
UPSAMPLINGS = ("repeat", "linear", "transposed")


@dataclasses.dataclass(frozen=True)
class ConditionConfig:
    """A condition, global as it stands.

    Attributes:
      kind: "labels" (integers in [0, size), or -1 for none), "tags" (integers 0 and
        1, `size` of them, any number being 1) or "vectors".
      size: the number of classes or tags, or the vectors' width.
      channels: width of the map that all layers share.
    """

    kind: Literal["labels", "tags", "vectors"]
    size: int
    channels: int = 32

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(f"A condition's kind is {self.kind!r}: use one of {', '.join(KINDS)}.")
        self._require_counts("size", "channels")

    def _require_counts(self, *names: str):
        for name in names:
            if getattr(self, name) < 1:
                raise InputError(
                    f"A condition's {name} is {getattr(self, name)}: "
                    "give a whole number of at least 1."
                )


@dataclasses.dataclass(frozen=True)
class LocalConditionConfig(ConditionConfig):
    """A condition along a recording.

    Attributes:
      hop_samples: samples a frame covers.
      upsampling: "repeat", "linear" or "transposed".
      factors: of the transposed convolutions, first to last; their product is
        the hop. Empty for the other ways.
    """

    hop_samples: int = 1
    upsampling: Literal["repeat", "linear", "transposed"] = "repeat"
    factors: tuple[int, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "factors", tuple(self.factors))
        self._require_counts("hop_samples")
        if self.upsampling not in UPSAMPLINGS:
            raise InputError(
                f"The local condition's upsampling is {self.upsampling!r}: "
                f"use one of {', '.join(UPSAMPLINGS)}."
            )
        if self.upsampling == "transposed":
            if min(self.factors, default=0) < 1 or math.prod(self.factors) != self.hop_samples:
                raise InputError(
                    f"The local condition's factors are {self.factors} and its hop is "
                    f"{self.hop_samples} samples: give factors whose product is the hop."
                )
        elif self.factors:
            raise InputError(
                f"The local condition's factors are {self.factors}, but its upsampling is "
                f"{self.upsampling!r}: leave them out, or use 'transposed'."
            )

    @property
    def context_frames(self) -> int:
        """Frames beyond its own, on either side, that a sample may depend on."""
        if self.upsampling == "linear":
            return 1
        rows = 0
        for factor in reversed(self.factors):
            rows = -(-rows // factor) + 1
        return rows


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
        table = table.astype(self.dtype)
        if self.config.kind == "tags":
            return condition.astype(self.dtype) @ table
        known = (condition >= 0)[..., None]
        return jnp.where(known, jnp.take(table, jnp.maximum(condition, 0), axis=0), 0)


@flax.struct.dataclass
class ConditionSequence:
    """A local condition at some rate, on the clock of the samples given to the model.

    Attributes:
      rows: shape `[N, B, C]`.
      hop: samples a row holds for.
      start: the sample at which row 0 begins; before it there is nothing.
    """

    rows: jax.Array
    hop: int = flax.struct.field(pytree_node=False)
    start: int = flax.struct.field(pytree_node=False)

    def project(self, projection, begin: int, length: int) -> jax.Array:
        """`projection` (without bias) of the samples [begin, begin + length).

        Made at the rate of the rows, then repeated: shape `[length, B, C']`.
        """
        first = (begin - self.start) // self.hop
        last = (begin + length - 1 - self.start) // self.hop
        rows = projection(self.rows[max(first, 0) : last + 1])
        rows = jnp.pad(rows, ((max(-first, 0), 0), (0, 0), (0, 0)))
        if self.hop > 1:
            rows = jnp.repeat(rows, self.hop, axis=0)
        offset = begin - self.start - first * self.hop
        return jax.lax.slice_in_dim(rows, offset, offset + length, axis=0)


@flax.struct.dataclass
class Conditions:
    """All that enters the gates of a stack beside its own past.

    Attributes:
      global_: embedded, shape `[B, C]`, or None.
      series: the local ones, in the order of the stack's projections.
    """

    global_: jax.Array | None = None
    series: tuple[ConditionSequence, ...] = ()


class LocalConditioning(nn.Module):
    """Frames to the series that the layers' projections take."""

    config: LocalConditionConfig
    dtype: jnp.dtype

    def setup(self):
        self.embedding = ConditionEmbedding(self.config, self.dtype)
        channels = self.config.channels
        self.kernels = [
            self.param(f"upsampling_{i}", _repetition, (3, channels, factor, channels))
            for i, factor in enumerate(self.config.factors)
        ]

    def __call__(self, frames: jax.Array, phase: int = 0) -> ConditionSequence:
        """Frames, `context_frames` of them before and after those that cover the samples.

        Args:
          frames: labels `[B, F]` or `[B, F, size]`.
          phase: samples of the first covered frame that came before these.

        Returns:
          One row a frame for "repeat", one a sample for the others.
        """
        cfg = self.config
        rows = self.embedding(jnp.swapaxes(frames, 0, 1))
        if cfg.upsampling == "repeat":
            return ConditionSequence(rows, cfg.hop_samples, -phase)
        is_there = frames >= 0 if cfg.kind == "labels" else jnp.any(frames != 0, axis=-1)
        is_there = jnp.repeat(jnp.swapaxes(is_there, 0, 1), cfg.hop_samples, axis=0)
        if cfg.upsampling == "linear":
            rows = _interpolate(rows, cfg.hop_samples)
        for i, kernel in enumerate(self.kernels):
            if i:
                rows = nn.leaky_relu(rows, 0.4)
            rows = _transposed_convolution(rows, kernel.astype(self.dtype))
        rows = jnp.where(is_there[..., None], rows, 0)
        margin = cfg.context_frames * cfg.hop_samples
        return ConditionSequence(rows[margin : rows.shape[0] - margin], 1, -phase)


def _neighbours(rows: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The rows before, at and after each row `[N, B, C]`, zero beyond the ends."""
    padded = jnp.pad(rows, ((1, 1), (0, 0), (0, 0)))
    return padded[:-2], rows, padded[2:]


def _transposed_convolution(rows: jax.Array, kernel: jax.Array) -> jax.Array:
    """Stride f, kernel 3 f: `[N, B, C]` by `[3, C, f, C']` to `[N f, B, C']`."""
    sides = jnp.concatenate(_neighbours(rows), axis=-1)
    taps, channels, factor, outputs = kernel.shape
    product = sides @ kernel.reshape(taps * channels, factor * outputs)
    product = product.reshape(*rows.shape[:2], factor, outputs)
    return jnp.swapaxes(product, 1, 2).reshape(-1, rows.shape[1], outputs)


def _repetition(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """First values of a transposed convolution: it repeats its input, nearly."""
    taps, channels, _, outputs = shape
    noise = jax.random.normal(key, shape) * (0.1 / (taps * channels) ** 0.5)
    return (noise.at[1].add(jnp.eye(channels, outputs)[:, None])).astype(dtype)


def _interpolate(rows: jax.Array, hop: int) -> jax.Array:
    """Linearly between the middles of frames: `[N, B, C]` to `[N hop, B, C]`."""
    before, here, after = (side[:, None] for side in _neighbours(rows))
    # How far after its frame's middle a sample is, in frames.
    place = (np.arange(hop) - (hop - 1) / 2) / hop
    place = place.astype(rows.dtype)[None, :, None, None]
    mixed = here + jnp.maximum(place, 0) * (after - here) + jnp.maximum(-place, 0) * (before - here)
    return mixed.reshape(-1, *rows.shape[1:])


def frames_covering(
    config: LocalConditionConfig, frames: np.ndarray, start: int, length: int
) -> np.ndarray:
    """The frames that the samples [start, start + length) of a recording depend on.

    Args:
      config: the condition's.
      frames: of the whole recording from its sample 0 on, `[B, F]` or `[B, F, size]`.
      start: may be negative; what lies beyond the frames' ends is none.
      length: of the samples.

    Returns:
      `[B, F', ...]`: `config.context_frames` frames, those that cover the samples, and
      `config.context_frames` frames. As many for every start at one place in its frame.
    """
    hop, reach = config.hop_samples, config.context_frames
    first = start // hop - reach
    last = (start + length - 1) // hop + reach
    inside = frames[:, max(first, 0) : max(last + 1, 0)]
    before = min(max(-first, 0), last + 1 - first)
    after = last + 1 - first - before - inside.shape[1]
    pad = [(0, 0), (before, after)] + [(0, 0)] * (frames.ndim - 2)
    none = NO_LABEL if config.kind == "labels" else 0
    return np.pad(inside, pad, constant_values=none)


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
    want = leading + (() if config.kind == "labels" else (config.size,))
    have = condition.shape
    fits = len(have) == len(want) and have[0] == want[0]
    if fits and len(leading) == 2:
        fits = have[1] >= want[1]
    if fits and config.kind != "labels":
        fits = have[-1] == config.size
    is_integer = jnp.issubdtype(condition.dtype, jnp.integer)
    if not fits or is_integer != (config.kind != "vectors"):
        hop = getattr(config, "hop_samples", None)
        raise InputError(
            f"The {name} condition has shape {have} and type {condition.dtype}, where "
            f"the model needs {config.kind} of shape {want}: check its width"
            + (f" and length (hop {hop} samples)." if hop else ".")
        )
