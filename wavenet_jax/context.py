"""Context stacks: smaller WaveNets at a lower rate that see further (section 2.6).

A context stack reads frames of `hop_samples` samples and gives, after each, some
numbers that condition every gate of the main stack locally, until the next frame
is complete. Frame j covers the samples [j h, (j + 1) h), and its output conditions
those of [(j + 1) h, (j + 2) h): nothing is seen that has not been said. Frames are
counted from the beginning of a recording, and before it there was silence.

With n dilations of d the stack sees sum of (kernel - 1) d frames further back than
the newest, at 1/h of the cost a sample that a layer of the main stack has.
"""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from wavenet_jax import layers
from wavenet_jax.conditioning import Conditions
from wavenet_jax.errors import InputError
from wavenet_jax.quantization import Quantizer


@dataclasses.dataclass(frozen=True)
class ContextStackConfig:
    """One context stack.

    Attributes:
      hop_samples: h, samples a frame.
      dilations: of each layer, in frames.
      kernel_size: taps of the dilated convolutions, at least 2.
      residual_channels: width of the residual stream.
      gate_channels: width of a gate's output.
      channels: of the output, which conditions the main stack.
      input: how the samples of a frame enter: "strided", a convolution of their values
        with kernel and stride h, or "pooled", the mean of each sample's embedding
        (of its code or value, as in the main stack) after a ReLU.
    """

    hop_samples: int
    dilations: tuple[int, ...]
    kernel_size: int = 2
    residual_channels: int = 32
    gate_channels: int = 32
    channels: int = 32
    input: Literal["strided", "pooled"] = "strided"

    def __post_init__(self):
        object.__setattr__(self, "dilations", tuple(self.dilations))
        least = dict.fromkeys(("residual_channels", "gate_channels", "channels"), 1)
        least |= {"hop_samples": 2, "kernel_size": 2}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise InputError(
                    f"A context stack's {name} is {getattr(self, name)}: give at least {minimum}."
                )
        if not self.dilations or min(self.dilations) < 1:
            raise InputError(
                f"A context stack's dilations are {self.dilations}: give at least one, "
                "each at least 1."
            )
        if self.input not in ("strided", "pooled"):
            raise InputError(
                f"A context stack's input is {self.input!r}: use one of strided, pooled."
            )

    @property
    def left_context(self) -> int:
        """Frames before its own that an output depends on."""
        return (self.kernel_size - 1) * sum(self.dilations)


class ContextStack(nn.Module):
    """The stack; frames come and go at its own rate, `[F, B, ...]`."""

    config: ContextStackConfig
    quantizer: Quantizer
    has_global: bool
    one_hot: bool
    dtype: jnp.dtype

    def setup(self):
        cfg = self.config
        if cfg.input == "strided":
            self.strided = nn.Dense(cfg.residual_channels)  # of values: float32, as the input's
        else:
            self.embedding = layers.InputConvolution(
                inputs=self.quantizer.num_classes if self.one_hot else 1,
                channels=cfg.residual_channels,
                kernel_size=1,
                dtype=self.dtype,
            )
        self.stack = layers.Stack(
            dilations=cfg.dilations,
            kernel_size=cfg.kernel_size,
            residual_channels=cfg.residual_channels,
            gate_channels=cfg.gate_channels,
            has_global=self.has_global,
            num_series=0,
            dtype=self.dtype,
        )
        self.output = nn.Dense(cfg.channels, dtype=self.dtype)

    def frames(self, inputs: jax.Array) -> jax.Array:
        """Samples to what the stack takes.

        Args:
          inputs: codes `[F h, B]`, or the vectors that stand for them (one-hot ones,
            or values `[F h, B, 1]`).

        Returns:
          Shape `[F, B, R]`.
        """
        hop, batch = self.config.hop_samples, inputs.shape[1]
        if self.config.input == "pooled":
            rows = nn.relu(self.embedding(inputs))
            return rows.reshape(-1, hop, batch, rows.shape[-1]).mean(axis=1)
        values = self._values(inputs)
        values = jnp.swapaxes(values.reshape(-1, hop, batch), 1, 2)
        return self.strided(values).astype(self.dtype)

    def _values(self, inputs: jax.Array) -> jax.Array:
        if inputs.ndim == 2:
            return self.quantizer.values(inputs)
        if inputs.shape[-1] == 1:
            return inputs[..., 0]
        return inputs @ self.quantizer.values(jnp.arange(inputs.shape[-1]))

    def __call__(self, frames: jax.Array, global_: jax.Array | None) -> jax.Array:
        """Outputs `[F, B, C]` of frames `[past + F, B, R]`."""
        return self._head(self.stack(frames, Conditions(global_), frames.shape[0]))

    def prefill(
        self,
        frames: jax.Array,
        rings: tuple[layers.Ring, ...],
        time: jax.Array,
        global_: jax.Array | None,
    ) -> tuple[jax.Array, tuple[layers.Ring, ...]]:
        """Outputs `[F, B, C]` of frames `[F, B, R]`, the first at `time`; and the rings."""
        gated, rings = self.stack.prefill(frames, rings, time, Conditions(global_))
        return self._head(gated), rings

    def step(
        self,
        frame: jax.Array,
        rings: tuple[layers.Ring, ...],
        time: jax.Array,
        global_: jax.Array | None,
    ) -> tuple[jax.Array, tuple[layers.Ring, ...]]:
        """The output `[B, C]` of a frame `[B, R]`; and the rings."""
        condition = self.stack.project_global(global_)
        gated, rings = self.stack.step(frame, rings, time, condition)
        return self._head(gated), rings

    def steady_state(
        self, frame: jax.Array, global_: jax.Array | None
    ) -> tuple[jax.Array, tuple[layers.Ring, ...]]:
        """The output `[B, C]` and the rings that a frame `[B, R]` leaves, said for ever."""
        gated, rings = self.stack.steady_state(frame, Conditions(global_))
        return self._head(gated), rings

    def _head(self, gated: jax.Array) -> jax.Array:
        return nn.relu(self.output(gated))
