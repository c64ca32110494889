"""The layers of WaveNet: the causal convolution, the residual blocks, their stack.

Each layer is one set of parameters with two ways to run it. Called, it maps a whole sequence;
the sequence begins with the left context of the layer, so that the result is shorter by
`left_context`. `step` maps one sample, with the left context in a ring buffer (`state`).

Time comes first in every shape here, `[T, B, R]`: the taps of a convolution are then
contiguous blocks of memory, and side by side they are one matrix product.

Another residual block needs no change here:

    class ReluBlock(layers.GatedBlock):
        def activation(self, z):
            filter_, gate = jnp.split(z, 2, axis=-1)
            return nn.relu(filter_) * nn.sigmoid(gate)

    layers.BLOCKS["relu"] = ReluBlock
    config = WaveNetConfig(dilations=(1, 2, 4), block="relu")

`GatedBlock.activation` is the nonlinearity, `GatedBlock.transform` all arithmetic after the
taps have been gathered. Either override holds for all ways to run the model. `FFTNetBlock` is a
block without gate, residual and skip connections.
"""

import functools
from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from wavenet_jax import fused
from wavenet_jax.state import Ring, history_to_ring, ring_read, ring_to_history, ring_write


@flax.struct.dataclass
class ConditionSequence:
    """Embedded frames along a sequence, such as a local condition or a context stack's output.

    Attributes:
      frames: shape `[F, B, C]`.
      samples_per_frame: samples for which a frame holds.
      start: the sample at which frame 0 begins; samples before it have none.
    """

    frames: jax.Array
    samples_per_frame: int = flax.struct.field(pytree_node=False)
    start: int = flax.struct.field(pytree_node=False)

    def project_frames(
        self, projection: Callable[[jax.Array], jax.Array], begin: int, length: int
    ) -> tuple[jax.Array, int]:
        """`projection`, which has no bias, of the frames of the samples [begin, begin + length).

        Returns:
          Shape `[F, B, 2G]`, and the place of the first sample in its frame.
        """
        first = (begin - self.start) // self.samples_per_frame
        last = (begin + length - 1 - self.start) // self.samples_per_frame
        projected = projection(self.frames[max(first, 0) : last + 1])
        projected = jnp.pad(projected, ((max(-first, 0), 0), (0, 0), (0, 0)))
        return projected, begin - self.start - first * self.samples_per_frame

    def project(
        self, projection: Callable[[jax.Array], jax.Array], begin: int, length: int
    ) -> jax.Array:
        """`projection`, which has no bias, of the samples [begin, begin + length).

        It is applied to frames, whose results are then repeated: shape `[length, B, 2G]`.
        """
        projected, offset = self.project_frames(projection, begin, length)
        if self.samples_per_frame > 1:
            projected = jnp.repeat(projected, self.samples_per_frame, axis=0)
        return jax.lax.slice_in_dim(projected, offset, offset + length, axis=0)


@flax.struct.dataclass
class Conditions:
    """All conditions of a stack, embedded.

    Attributes:
      global_: shape `[B, C]`, or None.
      sequences: in the order of the blocks' `local_projections`.
    """

    global_: jax.Array | None = None
    sequences: tuple[ConditionSequence, ...] = ()


def smooth_embedding_init(
    key: jax.Array, shape: tuple[int, int, int], dtype=jnp.float32
) -> jax.Array:
    """Initial kernel over one-hot codes, in which near codes have near embeddings.

    Each channel is a random wave over the codes, placed in [-1, 1]. Independent embeddings
    would each have to learn alone what those of the neighbouring codes mean.

    Args:
      key: PRNG key.
      shape: (taps, codes, channels).
      dtype: of the result.

    Returns:
      Values with mean square 1, summed over the taps.
    """
    taps, codes, channels = shape
    waves_key, phases_key = jax.random.split(key)
    waves = 0.75 * jax.random.normal(waves_key, (taps, 1, channels))
    phases = jax.random.uniform(phases_key, (taps, 1, channels))
    places = jnp.linspace(-1, 1, codes)[None, :, None]
    turns = waves * places + phases
    return ((2 / taps) ** 0.5 * jnp.cos(2 * jnp.pi * turns)).astype(dtype)


def flatten_batch_dims(map_: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """A map of matrices applied to `[..., C]`, whose leading axes become one.

    XLA's gradient of a product depends on the number of axes: on a CPU it is faster with one
    leading axis than with two.
    """
    return map_(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


class InputConvolution(nn.Module):
    """The causal convolution at the input (figure 2), from samples to channels.

    A sample is a code, which stands for its one-hot vector and selects a row of the kernel,
    or a vector: one-hot `[..., K]`, or the value of scalar input, `[..., 1]`.
    """

    inputs: int
    channels: int
    kernel_size: int
    dtype: jnp.dtype

    def setup(self):
        init = (
            smooth_embedding_init
            if self.inputs > 1
            else nn.initializers.lecun_uniform(in_axis=(0, 1))
        )
        shape = (self.kernel_size, self.inputs, self.channels)
        self.kernel = self.param("kernel", init, shape)
        self.bias = self.param("bias", nn.initializers.zeros, (self.channels,))

    def _tap(self, tap: int, x: jax.Array) -> jax.Array:
        kernel = self.kernel[tap]
        if jnp.issubdtype(x.dtype, jnp.integer):
            return kernel.astype(self.dtype)[x]
        # bfloat16 cannot represent a 16-bit sample: round after the product.
        return jnp.matmul(x, kernel, precision="highest").astype(self.dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[kernel_size - 1 + T, B, ...]` to `[T, B, R]`."""
        length = x.shape[0] - self.kernel_size + 1
        taps = [self._tap(k, x[k : k + length]) for k in range(self.kernel_size)]
        return sum(taps) + self.bias.astype(self.dtype)[None, None]

    def step(self, newest: jax.Array) -> jax.Array:
        """The newest kernel_size samples, `[kernel_size, B, ...]`, to `[B, R]`."""
        return self(newest)[0]


class GatedBlock(nn.Module):
    """A dilated causal convolution with gate and residual connection (figure 4).

        z = W * x + conditions                                      [.., 2G]
        a = tanh(z_filter) . sigmoid(z_gate)      (equations 2 and 3) [.., G]
        x <- x + W_residual a                                        [.., R]

    The block's skip output is `a` itself: the model applies the 1x1 convolutions of all skip
    connections as one product. The last block has no residual output, which nothing would read.

    Attributes:
      num_taps: the `kernel_size` that the arithmetic is for; None for any.
      gain: of the first kernels, the variance of a sum of inputs that have the mean square 1.
    """

    num_taps: ClassVar[int | None] = None
    gain: ClassVar[float] = 1.0

    dilation: int
    kernel_size: int
    residual_channels: int
    gate_channels: int
    is_last: bool
    has_global: bool
    num_sequences: int
    dropout: float
    dtype: jnp.dtype

    @property
    def left_context(self) -> int:
        """Samples before its own that the block's output depends on."""
        return (self.kernel_size - 1) * self.dilation

    @property
    def z_channels(self) -> int:
        """2G, channels of z. Override it for a nonlinearity that takes another number."""
        return 2 * self.gate_channels

    def setup(self):
        scaled = functools.partial(nn.initializers.variance_scaling, self.gain, "fan_in")
        shape = (self.kernel_size, self.residual_channels, self.z_channels)
        self.kernel = self.param("kernel", scaled("uniform", in_axis=(0, 1)), shape)
        self.bias = self.param("bias", nn.initializers.zeros, (self.z_channels,))
        dense = functools.partial(nn.Dense, self.z_channels, use_bias=False, dtype=self.dtype)
        if self.has_global:
            self.global_projection = dense()
        self.local_projections = [dense() for _ in range(self.num_sequences)]
        if not self.is_last:
            init = scaled("truncated_normal")
            self.residual = nn.Dense(self.residual_channels, dtype=self.dtype, kernel_init=init)
        self.drop = nn.Dropout(self.dropout)

    def activation(self, z: jax.Array) -> jax.Array:
        """The nonlinearity, `[..., 2G]` to `[..., G]`. Override it for another."""
        filter_, gate = jnp.split(z, 2, axis=-1)
        return jnp.tanh(filter_) * nn.sigmoid(gate)

    def transform(
        self, x: jax.Array, taps: jax.Array, condition: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The arithmetic of the block, sample by sample. Override it for another block, with
        further parameters made in `setup` after `super().setup()`.

        Args:
          x: the block's input, `[..., R]`.
          taps: its inputs at all taps side by side, oldest first, `[..., kernel_size * R]`;
            the last is x.
          condition: the sum of all conditions and the bias, `[..., 2G]`.

        Returns:
          The residual output `[..., R]` and the skip output `[..., G]`, or `[..., 0]` for none.
        """
        a = self.activated(taps, condition)
        return x if self.is_last else x + flatten_batch_dims(self.residual, a), a

    def activated(self, taps: jax.Array, condition: jax.Array) -> jax.Array:
        """a, `[..., G]`, with dropout, arguments as `transform`."""
        kernel = self.kernel.astype(self.dtype).reshape(-1, self.z_channels)
        a = self.activation(flatten_batch_dims(lambda x: x @ kernel, taps) + condition)
        return self.drop(a, deterministic=not self.has_rng("dropout"))

    def project_global(self, embedded: jax.Array | None) -> jax.Array:
        """The condition of a whole recording and the bias, `[B, C]` to `[B, 2G]`."""
        z = self.bias.astype(self.dtype)[None]
        return z if embedded is None else z + self.global_projection(embedded)

    def project_sequence(self, index: int, frames: jax.Array) -> jax.Array:
        """The condition of one sequence, `[..., C]` to `[..., 2G]`."""
        return self.local_projections[index](frames)

    def project_all(self, conditions: Conditions, begin: int, length: int) -> jax.Array:
        """All conditions of the samples [begin, begin + length) and the bias: `[length, B, 2G]`, or
        what broadcasts to it."""
        condition = self.project_global(conditions.global_)[None]
        for projection, sequence in zip(self.local_projections, conditions.sequences, strict=True):
            condition = condition + sequence.project(projection, begin, length)
        return condition

    def fused_arguments(
        self, conditions: Conditions, begin: int, length: int
    ) -> tuple[fused.Block, fused.Shape]:
        """What `fused.stack` computes the samples [begin, begin + length) with."""
        if len(conditions.sequences) == 1:  # frames need not be repeated
            (sequence,), (projection,) = conditions.sequences, self.local_projections
            frames, offset = sequence.project_frames(projection, begin, length)
            condition = self.project_global(conditions.global_)[None] + frames
            shape = fused.Shape(self.dilation, sequence.samples_per_frame, offset)
        else:
            condition = self.project_all(conditions, begin, length)
            shape = fused.Shape(self.dilation, int(condition.shape[0] > 1), 0)
        if self.is_last:
            return fused.Block(self.kernel, condition), shape
        residual = self.residual.variables["params"]
        return fused.Block(self.kernel, condition, residual["kernel"], residual["bias"]), shape

    def __call__(
        self, x: jax.Array, conditions: Conditions, end: int
    ) -> tuple[jax.Array, jax.Array]:
        """The whole sequence.

        Args:
          x: shape `[left_context + T, B, R]`.
          conditions: of these samples.
          end: the index after the last sample, as the conditions count them.

        Returns:
          The residual output `[T, B, R]` and the skip output `[T, B, G]`.
        """
        length = x.shape[0] - self.left_context
        condition = self.project_all(conditions, end - length, length)
        starts = range(0, self.left_context + 1, self.dilation)
        taps = jnp.concatenate([x[i : i + length] for i in starts], axis=-1)
        # x is taken from the taps, behind a barrier that hides that it is the same array:
        # XLA on a CPU would otherwise not store x but recompute it, twice a layer, from the
        # sum of all layers before.
        taps = jax.lax.optimization_barrier(taps)
        return self.transform(taps[..., -self.residual_channels :], taps, condition)

    def step(
        self, x: jax.Array, ring: Ring, time: jax.Array, condition: jax.Array
    ) -> tuple[jax.Array, jax.Array, Ring]:
        """One sample.

        Args:
          x: shape `[B, R]`.
          ring: shape `[left_context + 1, B, R]`, the inputs of earlier steps.
          time: scalar, the sample's index.
          condition: shape `[B, 2G]`, the sum of all conditions and the bias.

        Returns:
          The residual output `[B, R]`, the skip output `[B, G]`, the ring.
        """
        ring = ring_write(ring, time, x)
        lags = range(self.left_context, 0, -self.dilation)
        taps = jnp.concatenate([ring_read(ring, time - lag) for lag in lags] + [x], -1)
        return *self.transform(x, taps, condition), ring


class FFTNetBlock(GatedBlock):
    """A layer of FFTNet (Jin, Finkelstein, Mysore and Lu, 2018), of inputs `dilation` d apart.

        z = W_L x_{t-d} + W_R x_t + conditions                       [.., G]
        a = relu(z)                                                  [.., G]
        x <- relu(W_residual a)                                      [.., R]

    Neither input nor outputs of earlier layers are added: the last block alone has a skip output,
    a, and the model's skip connection is its second 1x1 convolution.
    """

    num_taps = 2
    gain = 2.0  # of its inputs' variance a ReLU leaves half

    @property
    def z_channels(self) -> int:
        """G: there is no gate."""
        return self.gate_channels

    def activation(self, z: jax.Array) -> jax.Array:
        return nn.relu(z)

    def transform(
        self, x: jax.Array, taps: jax.Array, condition: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        a = self.activated(taps, condition)
        if self.is_last:
            return x, a
        return nn.relu(flatten_batch_dims(self.residual, a)), a[..., :0]


BLOCKS: dict[str, type[GatedBlock]] = {"gated": GatedBlock, "fftnet": FFTNetBlock}
"""Residual blocks by the name that a config's `block` gives. Research code may add its own."""


class Stack(nn.Module):
    """Residual blocks one above the other, run in the three ways of the model.

    Its result are the skip outputs of all blocks side by side, `[..., L G]`; of FFTNet's blocks the
    last alone has one, `[..., G]`.

    Attributes:
      dilations: of each block, in samples of the stack's rate.
      kernel_size: taps of each.
      residual_channels: R.
      gate_channels: G.
      has_global: whether there is a global condition.
      num_sequences: number of condition sequences.
      dtype: of the computation.
      block: a key of `BLOCKS`.
      dropout: share of the skip outputs that training drops.
      rematerialize: whether the gradient recomputes a block instead of storing it.
      fused_precision: that with which `wavenet_jax.fused` computes sequences, or None for XLA.
    """

    dilations: tuple[int, ...]
    kernel_size: int
    residual_channels: int
    gate_channels: int
    has_global: bool
    num_sequences: int
    dtype: jnp.dtype
    block: str = "gated"
    dropout: float = 0.0
    rematerialize: bool = False
    fused_precision: fused.Precision | None = None

    def setup(self):
        block = BLOCKS[self.block]
        if self.rematerialize:
            block = nn.remat(block, static_argnums=(3,))
        self.blocks = [
            block(
                dilation=dilation,
                kernel_size=self.kernel_size,
                residual_channels=self.residual_channels,
                gate_channels=self.gate_channels,
                is_last=i == len(self.dilations) - 1,
                has_global=self.has_global,
                num_sequences=self.num_sequences,
                dropout=self.dropout,
                dtype=self.dtype,
            )
            for i, dilation in enumerate(self.dilations)
        ]

    def __call__(self, x: jax.Array, conditions: Conditions, end: int) -> jax.Array:
        """The whole sequence.

        Args:
          x: shape `[left_context + T, B, R]`, the left context being that of all blocks
            together.
          conditions: of these samples.
          end: the index after the last sample, as the conditions count them.

        Returns:
          Shape `[T, B, L G]`.
        """
        length = x.shape[0] - sum(block.left_context for block in self.blocks)
        if self.fused_precision and not self.is_initializing():
            arguments, remaining = [], x.shape[0]
            for block in self.blocks:
                remaining -= block.left_context
                arguments.append(block.fused_arguments(conditions, end - remaining, remaining))
            blocks, shapes = zip(*arguments, strict=True)
            return fused.stack(x, blocks, shapes, self.fused_precision)
        skips = []
        for block in self.blocks:
            x, a = block(x, conditions, end)
            skips.append(a[a.shape[0] - length :])
        return jnp.concatenate(skips, axis=-1)

    def prefill(
        self,
        x: jax.Array,
        rings: tuple[Ring, ...],
        time: jax.Array,
        conditions: Conditions,
    ) -> tuple[jax.Array, tuple[Ring, ...]]:
        """Many samples in parallel, `[T, B, R]`, the first of which is that of `time`.

        Returns:
          Shape `[T, B, L G]`, and the rings as `step` would leave them.
        """
        length = x.shape[0]
        skips, after = [], []
        for block, ring in zip(self.blocks, rings, strict=True):
            x = jnp.concatenate([ring_to_history(ring, time), x])
            after.append(history_to_ring(x[length:], time + length))
            x, a = block(x[1:], conditions, length)
            skips.append(a)
        return jnp.concatenate(skips, axis=-1), tuple(after)

    def step(
        self, x: jax.Array, rings: tuple[Ring, ...], time: jax.Array, conditions: jax.Array
    ) -> tuple[jax.Array, tuple[Ring, ...]]:
        """One sample, `[B, R]`, given the sum of its projected conditions, `[L, B, 2G]`.

        Returns:
          Shape `[B, L G]`, and the rings.
        """
        skips, after = [], []
        for block, ring, condition in zip(self.blocks, rings, conditions, strict=True):
            x, a, ring = block.step(x, ring, time, condition)
            skips.append(a)
            after.append(ring)
        return jnp.concatenate(skips, axis=-1), tuple(after)

    def steady_state(
        self, x: jax.Array, conditions: Conditions
    ) -> tuple[jax.Array, tuple[Ring, ...]]:
        """The result of x, `[B, R]`, repeated without end under constant conditions, of which
        each sequence has one frame.

        Returns:
          Shape `[B, L G]`, and the rings.
        """
        steady = self.project_global(conditions.global_)
        for index, sequence in enumerate(conditions.sequences):
            steady = steady + self.project_sequence(index, sequence.frames[0])
        rings = []
        skips = []
        for block, condition in zip(self.blocks, steady, strict=True):
            ring = jnp.repeat(x[None], block.left_context + 1, axis=0)
            x, a, ring = block.step(x, ring, jnp.int32(0), condition)
            rings.append(ring)
            skips.append(a)
        return jnp.concatenate(skips, axis=-1), tuple(rings)

    def project_global(self, embedded: jax.Array | None) -> jax.Array:
        """For `step`: `[B, C]` to `[L, B, 2G]`, biases included; B is 1 for None."""
        return jnp.stack([block.project_global(embedded) for block in self.blocks])

    def project_sequence(self, index: int, frames: jax.Array) -> jax.Array:
        """For `step`: frames of one sequence, `[..., B, C]` to `[..., L, B, 2G]`."""
        return jnp.stack([block.project_sequence(index, frames) for block in self.blocks], axis=-3)
