"""The state of generation, carried from sample to sample, and its ring buffers.

A ring of N slots, `[N, B, R]`, holds the newest N inputs of a layer: that of time t in slot
t mod N. It has one slot more than the layer has left context: N = (kernel_size - 1) d + 1.

Rings are updated in place. A step writes its input first and then reads the others, all of
which are in other slots. A program that instead read the slot it is about to overwrite would
need the old and the new value of one buffer, and XLA would copy every ring at every step.
"""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

Ring = jax.Array
"""Shape `[N, B, R]`, or `[N, B]` for codes."""


def ring_write(ring: Ring, time: jax.Array, x: jax.Array) -> Ring:
    """The ring with x, `[B, R]`, as the input of `time`."""
    return jax.lax.dynamic_update_index_in_dim(ring, x, time % ring.shape[0], 0)


def ring_read(ring: Ring, time: jax.Array) -> jax.Array:
    """The input of `time`, `[B, R]`, one of the newest N."""
    return jax.lax.dynamic_index_in_dim(ring, time % ring.shape[0], 0, False)


def ring_to_history(ring: Ring, time: jax.Array) -> jax.Array:
    """The inputs before `time`, oldest first, `[N, B, R]`."""
    return jnp.roll(ring, -(time % ring.shape[0]), axis=0)


def history_to_ring(history: jax.Array, time: jax.Array) -> Ring:
    """The inverse of `ring_to_history`."""
    return jnp.roll(history, time % history.shape[0], axis=0)


@flax.struct.dataclass
class ContextState:
    """State of a context stack.

    Attributes:
      rings: `[N, B, R]` for each layer, in frames.
      output: `[B, C]`, the condition of the samples until the next frame is complete.
    """

    rings: tuple[Ring, ...]
    output: jax.Array


@flax.struct.dataclass
class State:
    """State of generation before sample `time`.

    Attributes:
      time: int32 scalar, the index of the next sample; below 2^31.
      samples: codes, int32 `[B, input_kernel_size]`, the newest, oldest first.
      rings: `[N, B, R]` for each layer.
      recent: codes, int32 `[N, B]`, N being the longest hop of the context stacks, 0
        without any.
      contexts: for each context stack.
    """

    time: jax.Array
    samples: jax.Array
    rings: tuple[Ring, ...]
    recent: Ring
    contexts: tuple[ContextState, ...]

    def of_items(self, items: np.ndarray) -> "State":
        """The state of some batch items, indices `[B']`, each as often as it is named: a copy, in
        host memory."""

        def first(x: jax.Array) -> jax.Array:
            return np.take(np.asarray(x), items, axis=0)  # type: ignore[return-value]

        def second(ring: Ring) -> Ring:
            return np.take(np.asarray(ring), items, axis=1)  # type: ignore[return-value]

        return State(
            time=np.array(self.time),  # type: ignore[arg-type]
            samples=first(self.samples),
            rings=tuple(map(second, self.rings)),
            recent=second(self.recent),
            contexts=tuple(
                ContextState(tuple(map(second, context.rings)), first(context.output))
                for context in self.contexts
            ),
        )

    def append(self, codes: jax.Array) -> "State":
        """The state after the sample of `time`, int32 codes `[B]`."""
        samples = jnp.concatenate([self.samples[:, 1:], codes[:, None]], axis=1)
        recent = self.recent
        if recent.shape[0]:
            recent = ring_write(recent, self.time, codes)
        return dataclasses.replace(self, samples=samples, recent=recent, time=self.time + 1)

    def extend(self, codes: jax.Array) -> "State":
        """The state after the samples from `time` on, int32 codes `[T, B]`. Rings stay."""
        length, recent, time = len(codes), self.recent, self.time + len(codes)
        samples = jnp.concatenate([self.samples, codes.T], axis=1)[:, length:]
        if recent.shape[0]:
            history = jnp.concatenate([ring_to_history(recent, self.time), codes])
            recent = history_to_ring(history[length:], time)
        return dataclasses.replace(self, samples=samples, recent=recent, time=time)
