"""WaveNet: its configuration and the model, one set of parameters run three ways.

    p(x) = prod_t p(x_t | x_<t, conditions)                       (equation 1)

* `__call__`: a whole recording, or a window of one, in parallel. For training.
* `step`: one sample, with each layer's past in a ring buffer. For generation.
* `prefill`: many samples in parallel, leaving the ring buffers as stepping
  through the same samples would. For priming, and for scoring in chunks.

The output at t scores sample t given those before it, and before the first
sample there was silence: in all three, and nowhere is there another past.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from wavenet_jax import conditioning, layers, mulaw
from wavenet_jax.conditioning import ConditionConfig
from wavenet_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class WaveNetConfig:
    """All that the model reads.

    Attributes:
      dilations: of each layer, in samples.
      kernel_size: taps of the dilated convolutions, at least 2.
      input_kernel_size: taps of the causal convolution at the input. With 1
        the input is causal by the shift alone.
      residual_channels: R, width of the residual stream.
      gate_channels: G, width of a gate's output; the layer computes 2G.
      skip_channels: S, width of the summed skip connections.
      head_channels: width between the two 1x1 convolutions at the end.
      num_classes: mu-law codes, 256 in the paper.
      input: how a past sample enters: "one_hot" of its code (the paper), or
        "scalar", its companded value in [-1, 1).
      dtype: in which the layers compute; parameters and outputs are float32.
      global_condition: of a whole recording, or None.
      local_condition: along a recording, or None.
    """

    dilations: tuple[int, ...]
    kernel_size: int = 2
    input_kernel_size: int = 1
    residual_channels: int = 64
    gate_channels: int = 64
    skip_channels: int = 256
    head_channels: int = 256
    num_classes: int = 256
    input: Literal["one_hot", "scalar"] = "one_hot"
    dtype: Literal["float32", "bfloat16"] = "float32"
    global_condition: ConditionConfig | None = None
    local_condition: ConditionConfig | None = None

    def __post_init__(self):
        object.__setattr__(self, "dilations", tuple(self.dilations))
        widths = ("residual_channels", "gate_channels", "skip_channels", "head_channels")
        counts = {name: getattr(self, name) for name in ("input_kernel_size", *widths)}
        counts |= {f"dilations[{i}]": d for i, d in enumerate(self.dilations)}
        minima = dict.fromkeys(counts, 1) | {"kernel_size": 2, "num_classes": 2}
        counts |= {"kernel_size": self.kernel_size, "num_classes": self.num_classes}
        for name, value in counts.items():
            if value < minima[name]:
                raise InputError(f"The model's {name} is {value}: give at least {minima[name]}.")
        if not self.dilations:
            raise InputError("The model has no layers: give at least one dilation.")
        for name, allowed in (
            ("input", ("one_hot", "scalar")),
            ("dtype", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"The model's {name} is {getattr(self, name)!r}: "
                    f"use one of {', '.join(allowed)}."
                )

    @property
    def hop_samples(self) -> int:
        """Samples a frame of the local condition, 1 where there is none."""
        return self.local_condition.hop_samples if self.local_condition else 1


def config_from_dict(fields: Mapping[str, Any]) -> WaveNetConfig:
    """The inverse of `dataclasses.asdict`, such as a checkpoint's JSON.

    Raises:
      InputError: a field that the model does not have.
    """
    fields = dict(fields)
    known = {field.name for field in dataclasses.fields(WaveNetConfig)}
    if unknown := sorted(set(fields) - known):
        raise InputError(f"The model has no field {unknown[0]!r}: use {', '.join(sorted(known))}.")
    for name in ("global_condition", "local_condition"):
        if fields.get(name) is not None:
            fields[name] = ConditionConfig(**fields[name])
    return WaveNetConfig(**fields)


def receptive_field(config: WaveNetConfig) -> int:
    """How many samples before t the distribution at t depends on."""
    return config.input_kernel_size + (config.kernel_size - 1) * sum(config.dilations)


def receptive_field_ms(config: WaveNetConfig, sample_rate_hz: int) -> float:
    """The receptive field in milliseconds."""
    return 1000 * receptive_field(config) / sample_rate_hz


@flax.struct.dataclass
class State:
    """What generation carries from sample to sample.

    Attributes:
      time: int32 scalar, the index of the sample to come.
      samples: int32 `[B, input_kernel_size]`, the newest samples, oldest first.
      rings: one ring `[past + 1, B, R]` a layer.
    """

    time: jax.Array
    samples: jax.Array
    rings: tuple[layers.Ring, ...]

    def append(self, sample: jax.Array) -> "State":
        """The state after `sample`, int32 `[B]`, was said at `time`."""
        newest = jnp.concatenate([self.samples[:, 1:], sample[:, None]], axis=1)
        return dataclasses.replace(self, samples=newest, time=self.time + 1)


class WaveNet(nn.Module):
    """The model of figure 4. Samples are int32 codes; outputs are logits."""

    config: WaveNetConfig

    def setup(self):
        cfg = self.config
        dtype = jnp.dtype(cfg.dtype)
        self.input = layers.InputConvolution(
            inputs=cfg.num_classes if cfg.input == "one_hot" else 1,
            channels=cfg.residual_channels,
            kernel_size=cfg.input_kernel_size,
            dtype=dtype,
        )
        self.blocks = [
            layers.GatedBlock(
                dilation=dilation,
                kernel_size=cfg.kernel_size,
                residual_channels=cfg.residual_channels,
                gate_channels=cfg.gate_channels,
                is_last=i == len(cfg.dilations) - 1,
                has_global=cfg.global_condition is not None,
                has_local=cfg.local_condition is not None,
                dtype=dtype,
            )
            for i, dilation in enumerate(cfg.dilations)
        ]
        embed = functools.partial(conditioning.ConditionEmbedding, dtype=dtype)
        if cfg.global_condition is not None:
            self.global_embedding = embed(cfg.global_condition)
        if cfg.local_condition is not None:
            self.local_embedding = embed(cfg.local_condition)
        self.skip = nn.Dense(cfg.skip_channels, dtype=dtype)
        self.head = nn.Dense(cfg.head_channels, dtype=dtype)
        # Zeros make the first guess uniform: training starts at log2 of the classes.
        self.output = nn.Dense(cfg.num_classes, dtype=dtype, kernel_init=nn.initializers.zeros)

    def __call__(
        self,
        samples: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        context: int = 0,
    ) -> jax.Array:
        """Scores a recording, or a window of one, in parallel.

        Args:
          samples: codes, shape `[B, context + T]`, or vectors `[B, .., A]`.
          global_condition: labels `[B]` or vectors `[B, D]`.
          local_condition: labels `[B, F]` or vectors `[B, F, D]`; frame 0
            begins with the first sample, context included.
          context: how many leading samples are only past, not scored. Where it
            is less than the receptive field, silence precedes them.

        Returns:
          float32 logits `[B, T, num_classes]`; row t scores sample context + t.
        """
        cfg = self.config
        batch, length = samples.shape[:2]
        lead = receptive_field(cfg) - context
        num_scored = length - context
        self._check(global_condition, local_condition, batch, length)
        embedded = self._embed_local(local_condition)
        offset = -lead
        if lead > 0:
            silence = self._silence(batch, lead)
            if samples.ndim > 2:  # vectors: the one-hot ones, or the scalar
                silence = self._as_vectors(silence, samples)
            samples = jnp.concatenate([silence, samples], axis=1)
            hop = cfg.hop_samples
            pad_frames = -(-lead // hop)
            offset += pad_frames * hop
            if embedded is not None:
                embedded = jnp.pad(embedded, ((pad_frames, 0), (0, 0), (0, 0)))
        else:
            samples = samples[:, -lead:]

        x = self._input_of_past(samples)
        embedded_global = self._embed_global(global_condition)
        end = offset + samples.shape[1]
        gated = []
        for block in self.blocks:
            num_out = x.shape[0] - block.past
            condition = block.project(embedded_global, embedded)
            condition = self._upsample(condition, end - num_out, num_out)
            x, a = block(x, condition)
            gated.append(a[-num_scored:])
        return jnp.swapaxes(self._head(gated), 0, 1)

    def prefill(
        self,
        state: State,
        samples: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        local_offset: int = 0,
    ) -> tuple[jax.Array, State]:
        """Continues a recording by many known samples in parallel.

        Args:
          state: after the samples before.
          samples: codes, shape `[B, T]`.
          global_condition: labels `[B]` or vectors `[B, D]`.
          local_condition: labels `[B, F]` or vectors `[B, F, D]`.
          local_offset: samples of frame 0 that came before these.

        Returns:
          float32 logits `[B, T, num_classes]`; row t scores sample t. And the
          state that `step` would leave.
        """
        batch, length = samples.shape
        self._check(global_condition, local_condition, batch, local_offset + length)
        embedded_global = self._embed_global(global_condition)
        embedded = self._embed_local(local_condition)
        past_and_samples = jnp.concatenate([state.samples, samples], axis=1)
        x = self._input_of_past(past_and_samples)
        gated, rings = [], []
        for block, ring in zip(self.blocks, state.rings, strict=True):
            history = layers.ring_to_history(ring, state.time)
            x = jnp.concatenate([history, x])
            newest = x[x.shape[0] - ring.shape[0] :]
            rings.append(layers.history_to_ring(newest, state.time + length))
            condition = block.project(embedded_global, embedded)
            condition = self._upsample(condition, local_offset, length)
            x, a = block(x[1:], condition)
            gated.append(a)
        state = State(
            time=state.time + length,
            samples=past_and_samples[:, -self.config.input_kernel_size :],
            rings=tuple(rings),
        )
        return jnp.swapaxes(self._head(gated), 0, 1), state

    def initial_state(self, batch: int, *, global_condition: jax.Array | None = None) -> State:
        """The state that an endless silence leaves, before sample 0.

        The global condition counts: silence sounds different to the layers of
        a model that knows who is silent. Local conditions begin with sample 0.
        """
        embedded_global = self._embed_global(global_condition)
        samples = self._silence(batch, self.config.input_kernel_size)
        x = self.input(self._inputs(samples.T))
        rings = []
        for block in self.blocks:
            rings.append(jnp.repeat(x, block.past + 1, axis=0))
            x, _ = block(rings[-1], block.project(embedded_global, None))
        return State(time=jnp.int32(0), samples=samples, rings=tuple(rings))

    def project_conditions(
        self,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
    ) -> jax.Array:
        """What `step` needs of the conditions, made once for many steps.

        Returns:
          Shape `[F, L, B, 2G]`, L the layers; F is 1 without a local condition
          and B is 1 without any.
        """
        embedded_global = self._embed_global(global_condition)
        embedded = self._embed_local(local_condition)
        each = [block.project(embedded_global, embedded) for block in self.blocks]
        return jnp.stack(each, axis=1)

    def step(self, state: State, conditions: jax.Array) -> tuple[jax.Array, State]:
        """One sample's distribution.

        Args:
          state: after the samples before.
          conditions: this frame of `project_conditions`, shape `[L, B, 2G]`.

        Returns:
          float32 logits `[B, num_classes]`, and the state, which awaits the
          sample that is drawn from them: `state.append(sample)`.
        """
        x = self.input.step(self._inputs(state.samples.T))
        gated, rings = [], []
        for block, ring, condition in zip(self.blocks, state.rings, conditions, strict=True):
            x, a, ring = block.step(x, ring, state.time, condition)
            gated.append(a)
            rings.append(ring)
        return self._head(gated), dataclasses.replace(state, rings=tuple(rings))

    # -- the pieces that the three ways share ---------------------------------

    def _input_of_past(self, samples: jax.Array) -> jax.Array:
        """The shift by one: output t sees the samples before t, the last none."""
        return self.input(self._inputs(jnp.swapaxes(samples[:, :-1], 0, 1)))

    def _inputs(self, samples: jax.Array) -> jax.Array:
        """Codes as the input layer takes them; vectors pass."""
        if self.config.input == "one_hot" or samples.ndim > 2:
            return samples
        half = self.config.num_classes // 2
        return ((samples - half) / half).astype(jnp.float32)[..., None]

    def _as_vectors(self, codes: jax.Array, like: jax.Array) -> jax.Array:
        if self.config.input == "one_hot":
            return jax.nn.one_hot(codes, like.shape[-1], dtype=like.dtype)
        return self._inputs(codes).astype(like.dtype)

    def _silence(self, batch: int, length: int) -> jax.Array:
        code = mulaw.silence_code(self.config.num_classes)
        return jnp.full((batch, length), code, jnp.int32)

    def _embed_global(self, condition: jax.Array | None) -> jax.Array | None:
        return None if condition is None else self.global_embedding(condition)

    def _embed_local(self, condition: jax.Array | None) -> jax.Array | None:
        """Time first, as the layers take it: `[F, B, C]`."""
        if condition is None:
            return None
        return self.local_embedding(jnp.swapaxes(condition, 0, 1))

    def _upsample(self, condition: jax.Array, offset: int, length: int) -> jax.Array:
        if self.config.local_condition is None:
            return condition
        hop = self.config.hop_samples
        return conditioning.upsample(condition, hop, offset, length)

    def _head(self, gated: list[jax.Array]) -> jax.Array:
        """Skip connections summed over layers, then ReLU, 1x1, ReLU, 1x1.

        From a gated activation a layer, `[..., G]`, to logits `[..., K]`.
        """
        h = self.skip(jnp.concatenate(gated, axis=-1))
        h = self.head(nn.relu(h))
        return self.output(nn.relu(h)).astype(jnp.float32)

    def _check(self, global_condition, local_condition, batch: int, length: int):
        cfg = self.config
        conditioning.check(cfg.global_condition, global_condition, "global", (batch,))
        frames = -(-length // cfg.hop_samples)
        conditioning.check(cfg.local_condition, local_condition, "local", (batch, frames))
