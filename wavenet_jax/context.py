"""Context stacks: smaller WaveNets at a lower rate with a longer left context (section 2.6).

A context stack reads frames of H samples. Its output after each frame is a local condition of
every gate of the main stack until the next frame is complete. Frame j covers the samples
[j H, (j + 1) H), and its output conditions those of [(j + 1) H, (j + 2) H): none depends on a
later sample. Frames are counted from the beginning of a recording, before which there was
silence.

An output depends on sum of (kernel_size - 1) d frames before the newest, at 1/H of the cost a
sample that a layer of the main stack has.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wavenet_jax import layers
from wavenet_jax.config import ContextStackConfig
from wavenet_jax.layers import Conditions
from wavenet_jax.quantization import Quantizer
from wavenet_jax.state import ContextState


class ContextStack(nn.Module):
    """The stack, run in the three ways of the model, over frames `[F, B, R]`."""

    config: ContextStackConfig
    quantizer: Quantizer
    has_global: bool
    one_hot: bool
    block: str
    dtype: jnp.dtype

    def setup(self):
        cfg = self.config
        if cfg.input == "strided":
            # In float32, for values of 16 bits.
            self.strided = nn.Dense(cfg.residual_channels)
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
            num_sequences=0,
            dtype=self.dtype,
            block=self.block,
        )
        self.output = nn.Dense(cfg.channels, dtype=self.dtype)

    def frames(self, inputs: jax.Array) -> jax.Array:
        """From samples to the stack's input.

        Args:
          inputs: codes `[F H, B]`, or vectors that stand for them: one-hot `[F H, B, K]`,
            or values `[F H, B, 1]`.

        Returns:
          Shape `[F, B, R]`.
        """
        hop, batch = self.config.hop_samples, inputs.shape[1]
        if self.config.input == "pooled":
            x = nn.relu(self.embedding(inputs))
            return x.reshape(-1, hop, batch, x.shape[-1]).mean(axis=1)
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
        """Outputs `[F, B, C]` of frames `[left_context + F, B, R]`."""
        return self._head(self.stack(frames, Conditions(global_), frames.shape[0]))

    def prefill(
        self, state: ContextState, frames: jax.Array, time: jax.Array, global_: jax.Array | None
    ) -> tuple[jax.Array, ContextState]:
        """Outputs `[F, B, C]` of frames `[F, B, R]`, the first at `time`; and the state."""
        gated, rings = self.stack.prefill(frames, state.rings, time, Conditions(global_))
        outputs = self._head(gated)
        return outputs, ContextState(rings, outputs[-1])

    def step(
        self, state: ContextState, frame: jax.Array, time: jax.Array, global_: jax.Array | None
    ) -> ContextState:
        """The state after a frame `[B, R]`, that of `time`."""
        condition = self.stack.project_global(global_)
        gated, rings = self.stack.step(frame, state.rings, time, condition)
        return ContextState(rings, self._head(gated))

    def steady_state(self, frame: jax.Array, global_: jax.Array | None) -> ContextState:
        """The state after a frame `[B, R]` that was repeated without end."""
        gated, rings = self.stack.steady_state(frame, Conditions(global_))
        output = self._head(gated)
        return ContextState(rings, jnp.broadcast_to(output, (frame.shape[0], output.shape[1])))

    def _head(self, gated: jax.Array) -> jax.Array:
        return nn.relu(self.output(gated))
