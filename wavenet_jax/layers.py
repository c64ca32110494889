"""The layers of WaveNet: the causal convolution, the gated residual block, their stack.

Each layer is one set of parameters with two ways to run it. Called, it maps a
whole sequence at once; the sequence it is given starts with the past that the
layer needs, so the result is shorter by `past`. `step` maps one sample, with
the layer's past in a ring buffer.

Time comes first in every shape here, `[T, B, R]`: the taps of a convolution are
then whole blocks of memory, and side by side they are one matrix product. (On a
CPU this takes 55 to 75% of the time of `lax.conv_general_dilated`.)
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from wavenet_jax.conditioning import Conditions

Ring = jax.Array
"""Shape `[N, B, C]`: a layer's newest N inputs; that of time t in slot t mod N."""


def ring_write(ring: Ring, time: jax.Array, x: jax.Array) -> Ring:
    """Puts x, shape `[B, C]`, at `time`. XLA does it in place, provided that the
    slot is not read before: a ring has one slot more than the past it keeps."""
    return jax.lax.dynamic_update_index_in_dim(ring, x, time % ring.shape[0], 0)


def ring_read(ring: Ring, time: jax.Array) -> jax.Array:
    """What was written at `time`, shape `[B, C]`."""
    return jax.lax.dynamic_index_in_dim(ring, time % ring.shape[0], 0, False)


def ring_to_history(ring: Ring, time: jax.Array) -> jax.Array:
    """The ring's content before `time`, oldest first, shape `[N, B, C]`."""
    return jnp.roll(ring, -(time % ring.shape[0]), axis=0)


def history_to_ring(history: jax.Array, time: jax.Array) -> Ring:
    """The inverse of `ring_to_history`."""
    return jnp.roll(history, time % history.shape[0], axis=0)


def smooth_embedding_init(
    key: jax.Array, shape: tuple[int, int, int], dtype=jnp.float32
) -> jax.Array:
    """First values for a kernel over one-hot codes: near codes have near rows.

    A code's row is a random wave of each channel's own, read at the code's place in
    [-1, 1]. Rows that start unrelated must each learn alone what their neighbours
    mean: on FSDD the same 150 steps then end a whole bit per sample higher.

    Args:
      key: PRNG key.
      shape: (taps, codes, channels).
      dtype: of the result.

    Returns:
      Values with mean square 1 over the taps together.
    """
    taps, codes, channels = shape
    waves_key, phases_key = jax.random.split(key)
    waves = 0.75 * jax.random.normal(waves_key, (taps, 1, channels))
    phases = jax.random.uniform(phases_key, (taps, 1, channels))
    places = jnp.linspace(-1, 1, codes)[None, :, None]
    turns = waves * places + phases
    return ((2 / taps) ** 0.5 * jnp.cos(2 * jnp.pi * turns)).astype(dtype)


def flatten_batch_dims(map_: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """A map of rows `[N, C]` to `[N, D]`, of all the rows that x, `[..., C]`, has: `[..., D]`.

    What XLA makes of the gradient of a product depends on the number of axes: with one for
    all rows, a layer's takes a CPU two thirds of the time that it takes with two.
    """
    return map_(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


class InputConvolution(nn.Module):
    """The causal convolution at the input (figure 2), from samples to channels.

    A sample is a code, standing for its one-hot vector (whose product with the
    kernel is a row of it, so no product is made), or a vector `[..., A]`, such
    as the one number of scalar input.
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
        # A 16-bit sample has more digits than bfloat16: it is rounded after its product.
        return jnp.matmul(x, kernel, precision="highest").astype(self.dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[T + kernel_size - 1, B, ...]` to `[T, B, R]`."""
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

    The skip connection leaves the block as `a`: the sum over layers of their
    1x1 convolutions is one product, which the model makes. The last block has
    no residual output, for nothing would read it.
    """

    dilation: int
    kernel_size: int
    residual_channels: int
    gate_channels: int
    is_last: bool
    has_global: bool
    num_series: int
    dropout: float
    dtype: jnp.dtype

    @property
    def left_context(self) -> int:
        """Samples before its own that the block's output depends on."""
        return (self.kernel_size - 1) * self.dilation

    def setup(self):
        two_g = 2 * self.gate_channels
        shape = (self.kernel_size, self.residual_channels, two_g)
        init = nn.initializers.lecun_uniform(in_axis=(0, 1))
        self.kernel = self.param("kernel", init, shape)
        self.bias = self.param("bias", nn.initializers.zeros, (two_g,))
        dense = functools.partial(nn.Dense, two_g, use_bias=False, dtype=self.dtype)
        if self.has_global:
            self.global_projection = dense()
        self.local_projections = [dense() for _ in range(self.num_series)]
        if not self.is_last:
            self.residual = nn.Dense(self.residual_channels, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def _outputs(
        self, x: jax.Array, taps: jax.Array, condition: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """From the taps side by side, `[..., kernel_size * R]`, and x, the last."""
        kernel = self.kernel.astype(self.dtype).reshape(-1, 2 * self.gate_channels)
        product = flatten_batch_dims(lambda rows: rows @ kernel, taps)
        filter_, gate = jnp.split(product + condition, 2, axis=-1)
        a = jnp.tanh(filter_) * nn.sigmoid(gate)
        a = self.drop(a, deterministic=not self.has_rng("dropout"))
        return x if self.is_last else x + flatten_batch_dims(self.residual, a), a

    def project_global(self, embedded: jax.Array | None) -> jax.Array:
        """What holds for a whole recording: `[B, C]` to `[B, 2G]`, the bias included."""
        z = self.bias.astype(self.dtype)[None]
        return z if embedded is None else z + self.global_projection(embedded)

    def project_series(self, index: int, rows: jax.Array) -> jax.Array:
        """The share of one series: `[..., C]` to `[..., 2G]`."""
        return self.local_projections[index](rows)

    def __call__(
        self, x: jax.Array, conditions: Conditions, end: int
    ) -> tuple[jax.Array, jax.Array]:
        """The whole sequence.

        Args:
          x: shape `[past + T, B, R]`.
          conditions: of these samples.
          end: the sample after the last, on the clock of the conditions.

        Returns:
          The residual output `[T, B, R]` and the gated activation `[T, B, G]`.
        """
        length = x.shape[0] - self.left_context
        condition = self.project_global(conditions.global_)[None]
        for projection, series in zip(self.local_projections, conditions.series, strict=True):
            condition = condition + series.project(projection, end - length, length)
        starts = range(0, self.left_context + 1, self.dilation)
        taps = jnp.concatenate([x[i : i + length] for i in starts], axis=-1)
        # x comes out of the taps again, and the barrier hides that it is the same: XLA
        # on a CPU would otherwise not keep x but sum it anew, twice a layer, from what
        # all the layers before have added to it.
        taps = jax.lax.optimization_barrier(taps)
        return self._outputs(taps[..., -self.residual_channels :], taps, condition)

    def step(
        self, x: jax.Array, ring: Ring, time: jax.Array, condition: jax.Array
    ) -> tuple[jax.Array, jax.Array, Ring]:
        """One sample.

        Args:
          x: shape `[B, R]`.
          ring: shape `[past + 1, B, R]`, the inputs of earlier steps.
          time: scalar, the sample's index.
          condition: shape `[B, 2G]`, of all conditions and the bias.

        Returns:
          The residual output `[B, R]`, the gated activation `[B, G]`, the ring.
        """
        ring = ring_write(ring, time, x)
        lags = range(self.left_context, 0, -self.dilation)
        taps = jnp.concatenate([ring_read(ring, time - lag) for lag in lags] + [x], -1)
        return *self._outputs(x, taps, condition), ring


class Stack(nn.Module):
    """Gated blocks one above the other, run in the three ways of the model.

    Gives the gated activations of all blocks side by side, `[..., L G]`, on which the
    1x1 convolutions of the skip connections are one product.

    Attributes:
      dilations: of each block, in samples of the stack's rate.
      kernel_size: taps of each.
      residual_channels: R.
      gate_channels: G.
      has_global: whether a global condition enters the gates.
      num_series: how many local conditions do.
      dropout: share of the gated activations that training drops.
      rematerialize: whether the gradient computes a block anew instead of keeping it.
      dtype: of the computation.
    """

    dilations: tuple[int, ...]
    kernel_size: int
    residual_channels: int
    gate_channels: int
    has_global: bool
    num_series: int
    dtype: jnp.dtype
    dropout: float = 0.0
    rematerialize: bool = False

    def setup(self):
        block = nn.remat(GatedBlock, static_argnums=(3,)) if self.rematerialize else GatedBlock
        self.blocks = [
            block(
                dilation=dilation,
                kernel_size=self.kernel_size,
                residual_channels=self.residual_channels,
                gate_channels=self.gate_channels,
                is_last=i == len(self.dilations) - 1,
                has_global=self.has_global,
                num_series=self.num_series,
                dropout=self.dropout,
                dtype=self.dtype,
            )
            for i, dilation in enumerate(self.dilations)
        ]

    def __call__(self, x: jax.Array, conditions: Conditions, end: int) -> jax.Array:
        """The whole sequence.

        Args:
          x: shape `[past + T, B, R]`, past that of all blocks together.
          conditions: of these samples.
          end: the sample after the last, on the clock of the conditions.

        Returns:
          Shape `[T, B, L G]`.
        """
        length = x.shape[0] - sum(block.left_context for block in self.blocks)
        gated = []
        for block in self.blocks:
            x, a = block(x, conditions, end)
            gated.append(a[a.shape[0] - length :])
        return jnp.concatenate(gated, axis=-1)

    def prefill(
        self,
        x: jax.Array,
        rings: tuple[Ring, ...],
        time: jax.Array,
        conditions: Conditions,
    ) -> tuple[jax.Array, tuple[Ring, ...]]:
        """Many samples in parallel, `[T, B, R]`, of which the first is that at `time`.

        Returns:
          Shape `[T, B, L G]`, and the rings that `step` would leave.
        """
        length = x.shape[0]
        gated, after = [], []
        for block, ring in zip(self.blocks, rings, strict=True):
            x = jnp.concatenate([ring_to_history(ring, time), x])
            after.append(history_to_ring(x[length:], time + length))
            x, a = block(x[1:], conditions, length)
            gated.append(a)
        return jnp.concatenate(gated, axis=-1), tuple(after)

    def step(
        self, x: jax.Array, rings: tuple[Ring, ...], time: jax.Array, conditions: jax.Array
    ) -> tuple[jax.Array, tuple[Ring, ...]]:
        """One sample, `[B, R]`; its conditions `[L, B, 2G]`, as the `project`s make them.

        Returns:
          Shape `[B, L G]`, and the rings.
        """
        gated, after = [], []
        for block, ring, condition in zip(self.blocks, rings, conditions, strict=True):
            x, a, ring = block.step(x, ring, time, condition)
            gated.append(a)
            after.append(ring)
        return jnp.concatenate(gated, axis=-1), tuple(after)

    def steady_state(
        self, x: jax.Array, conditions: Conditions
    ) -> tuple[jax.Array, tuple[Ring, ...]]:
        """What an endless x, `[B, R]`, leaves; each series is one row that holds always.

        Returns:
          The gated activations `[B, L G]`, and the rings.
        """
        steady = self.project_global(conditions.global_)
        for index, series in enumerate(conditions.series):
            steady = steady + self.project_series(index, series.rows[0])
        rings = []
        gated = []
        for block, condition in zip(self.blocks, steady, strict=True):
            ring = jnp.repeat(x[None], block.left_context + 1, axis=0)
            x, a, ring = block.step(x, ring, jnp.int32(0), condition)
            rings.append(ring)
            gated.append(a)
        return jnp.concatenate(gated, axis=-1), tuple(rings)

    def project_global(self, embedded: jax.Array | None) -> jax.Array:
        """For `step`: `[B, C]` to `[L, B, 2G]`, biases included; B is 1 for None."""
        return jnp.stack([block.project_global(embedded) for block in self.blocks])

    def project_series(self, index: int, rows: jax.Array) -> jax.Array:
        """For `step`: one series, `[..., B, C]` to `[..., L, B, 2G]`."""
        return jnp.stack([block.project_series(index, rows) for block in self.blocks], axis=-3)
