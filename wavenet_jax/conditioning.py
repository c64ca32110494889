"""Conditioning on more than the earlier samples (section 2.5).

A *global* condition holds for a whole recording (the speaker); a *local* one is a
sequence of frames along it (phones, F0, mel). Either is embedded in C channels
by a map that all layers share, and from there enters every layer's gates through a
projection of the layer's own:

    z = W * x + V_g h + V_l y,     y = upsampled h_local.

Frame k covers the samples [k H, (k + 1) H), H being the hop. From frames to samples:

* "repeat": a sample has its frame's value. Frame k affects the samples it covers.
* "linear": interpolated between the middles of frames, k H + (H - 1) / 2. Frame k
  affects its own samples and those up to the middles of its neighbours.
* "transposed": transposed convolutions, one a factor (their product is the hop), of
  stride f and kernel 3 f: an output within input k depends on inputs k - 1, k and k + 1.
  A leaky ReLU between them. They are initialised as a repetition.

`context_frames` is how many frames beyond its own, on either side, a sample may depend on.
Frames beyond a recording's ends are zeros, or label -1. No map has a bias, so that such a
frame adds nothing, and the samples that it covers have no local condition, whatever the
neighbouring frames are.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax.config import ConditionConfig, LocalConditionConfig
from wavenet_jax.errors import InputError
from wavenet_jax.layers import ConditionSequence

NO_LABEL = -1
"""The label of a recording or frame that has none; its embedding is zero."""


class ConditionEmbedding(nn.Module):
    """The map that all layers share: labels `[...]`, or tags or vectors `[..., D]`, to
    `[..., C]`."""

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
        has_label = (condition >= 0)[..., None]
        return jnp.where(has_label, jnp.take(table, jnp.maximum(condition, 0), axis=0), 0)


class LocalConditioning(nn.Module):
    """From frames to the sequence that the layers project."""

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
        """Embeds and upsamples.

        Args:
          frames: labels `[B, F]`, or tags or vectors `[B, F, D]`: those that cover the
            samples, with `context_frames` more on either side.
          phase: samples of the first covered frame that come before the first sample.

        Returns:
          For "repeat" one frame for each given; otherwise one for each sample.
        """
        cfg = self.config
        x = self.embedding(jnp.swapaxes(frames, 0, 1))
        if cfg.upsampling == "repeat":
            return ConditionSequence(x, cfg.hop_samples, -phase)
        is_any = frames >= 0 if cfg.kind == "labels" else jnp.any(frames != 0, axis=-1)
        is_any = jnp.repeat(jnp.swapaxes(is_any, 0, 1), cfg.hop_samples, axis=0)
        if cfg.upsampling == "linear":
            x = _interpolate(x, cfg.hop_samples)
        for i, kernel in enumerate(self.kernels):
            if i:
                x = nn.leaky_relu(x, 0.4)
            x = _transposed_convolution(x, kernel.astype(self.dtype))
        x = jnp.where(is_any[..., None], x, 0)
        margin = cfg.context_frames * cfg.hop_samples
        return ConditionSequence(x[margin : x.shape[0] - margin], 1, -phase)


def _neighbours(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The frames before, at and after each of `[F, B, C]`, zero beyond the ends."""
    padded = jnp.pad(x, ((1, 1), (0, 0), (0, 0)))
    return padded[:-2], x, padded[2:]


def _transposed_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Stride f, kernel 3 f: `[F, B, C]` by `[3, C, f, C']` to `[F f, B, C']`."""
    sides = jnp.concatenate(_neighbours(x), axis=-1)
    taps, channels, factor, outputs = kernel.shape
    product = sides @ kernel.reshape(taps * channels, factor * outputs)
    product = product.reshape(*x.shape[:2], factor, outputs)
    return jnp.swapaxes(product, 1, 2).reshape(-1, x.shape[1], outputs)


def _repetition(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Initial kernel of a transposed convolution: it nearly repeats its input."""
    taps, channels, _, outputs = shape
    noise = jax.random.normal(key, shape) * (0.1 / (taps * channels) ** 0.5)
    return (noise.at[1].add(jnp.eye(channels, outputs)[:, None])).astype(dtype)


def _interpolate(x: jax.Array, hop: int) -> jax.Array:
    """Linearly between the middles of frames: `[F, B, C]` to `[F H, B, C]`."""
    before, here, after = (side[:, None] for side in _neighbours(x))
    # Distance of each sample from its frame's middle, in frames.
    offset = (np.arange(hop) - (hop - 1) / 2) / hop
    offset = offset.astype(x.dtype)[None, :, None, None]
    later, earlier = jnp.maximum(offset, 0), jnp.maximum(-offset, 0)
    mixed = here + later * (after - here) + earlier * (before - here)
    return mixed.reshape(-1, *x.shape[1:])


def frames_covering(
    config: LocalConditionConfig, frames: np.ndarray, start: int, length: int
) -> np.ndarray:
    """The frames that the samples [start, start + length) of a recording depend on.

    Args:
      config: of the condition.
      frames: of the whole recording from its sample 0 on, labels `[B, F]`, or tags or
        vectors `[B, F, D]`.
      start: may be negative; frames beyond the ends are zeros, or label -1.
      length: number of samples.

    Returns:
      `[B, F', ...]`: `context_frames` frames, those that cover the samples, and
      `context_frames` frames. F' depends on start only by its position in a frame.
    """
    hop, context = config.hop_samples, config.context_frames
    first = start // hop - context
    last = (start + length - 1) // hop + context
    inside = frames[:, max(first, 0) : max(last + 1, 0)]
    before = min(max(-first, 0), last + 1 - first)
    after = last + 1 - first - before - inside.shape[1]
    pad = [(0, 0), (before, after)] + [(0, 0)] * (frames.ndim - 2)
    none = NO_LABEL if config.kind == "labels" else 0
    return np.pad(inside, pad, constant_values=none)


def check(
    config: ConditionConfig | None,
    condition: jax.Array | np.ndarray | None,
    name: str,
    leading: tuple[int, ...],
) -> None:
    """Refuses a condition that does not fit the model.

    Args:
      config: of the model's condition, or None.
      condition: the one given, or None.
      name: "global" or "local", for the message.
      leading: the leading dimensions, `[B]` or `[B, F]`; a local condition may have more
        frames than F.

    Raises:
      InputError: one is None and the other is not, or shape or type do not fit.
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
