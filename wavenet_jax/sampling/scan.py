"""The plain backend: `jax.lax.scan` over samples, ring buffers in its carry.

With context stacks it is a scan over frames around a scan over samples.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from wavenet_jax.state import State
from wavenet_jax.wavenet import WaveNet


def generate_chunk(
    model: WaveNet,
    params,
    state: State,
    uniforms: jax.Array,
    temperature: jax.Array,
    *,
    global_condition: jax.Array | None = None,
    local_condition: jax.Array | None = None,
    phase: int = 0,
) -> tuple[jax.Array, State]:
    """Draws a sample for each uniform number, one after the other.

    Args:
      model: the model.
      params: its variables.
      state: after the samples before.
      uniforms: in [0, 1), shape `[T, B]`.
      temperature: scalar.
      global_condition: as for `WaveNet.prefill`.
      local_condition: likewise.
      phase: `state.time` modulo the config's `hop_samples`.

    Returns:
      int32 codes, shape `[T, B]`, and the state after them.
    """
    config, distribution = model.config, model.config.distribution
    conditions: jax.Array
    samples_per_frame: int
    conditions, samples_per_frame = model.apply(  # type: ignore[assignment]
        params, global_condition, local_condition, phase, method="project_conditions"
    )

    def draw_all(state: State, first: Any, uniforms: jax.Array) -> tuple[State, jax.Array]:
        """Samples between which no context stack steps; `first` is their index."""
        contexts: Any = None
        if config.context_stacks:
            contexts = model.apply(params, state, method="project_contexts")

        def draw(state: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
            index, uniform = inputs
            row = (
                (index + phase % samples_per_frame) // samples_per_frame if samples_per_frame else 0
            )
            condition = jax.lax.dynamic_index_in_dim(conditions, row, 0, False)
            if contexts is not None:
                condition = condition + contexts
            parameters, state = model.apply(params, state, condition, method="step")
            sample = distribution.sample(parameters, uniform, temperature)
            return state.append(sample), sample

        return jax.lax.scan(draw, state, (first + jnp.arange(uniforms.shape[0]), uniforms))

    return over_frames(model, params, state, uniforms, global_condition, phase, draw_all)


DrawAll = Callable[[State, Any, jax.Array], tuple[State, jax.Array]]


def over_frames(
    model: WaveNet,
    params,
    state: State,
    uniforms: jax.Array,
    global_condition: jax.Array | None,
    phase: int,
    draw_all: DrawAll,
) -> tuple[jax.Array, State]:
    """Steps the context stacks where they are due, and draws the samples between.

    Args:
      model, params, state, uniforms, global_condition, phase: as for `generate_chunk`.
      draw_all: from the state, the index of the first sample and its and the following
        numbers `[T', B]` to the state after these samples and the codes `[T', B]`.

    Returns:
      As `generate_chunk`.
    """
    if not model.config.context_stacks:
        state, samples = draw_all(state, 0, uniforms)
        return samples, state

    def step_contexts(state: State) -> State:
        stepped: Any = model.apply(params, state, global_condition, method="step_contexts")
        return stepped

    def frame(state: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        return draw_all(step_contexts(state), *inputs)

    # The rest of a frame that was begun, whole frames, and the beginning of another.
    length, hop = uniforms.shape[0], model.config.frame_samples
    begun = min(-phase % hop, length)
    end = length - (length - begun) % hop
    parts = []
    if begun:
        state, samples = draw_all(state, 0, uniforms[:begun])
        parts.append(samples)
    if end > begun:
        whole = uniforms[begun:end].reshape(-1, hop, uniforms.shape[1])
        state, samples = jax.lax.scan(frame, state, (jnp.arange(begun, end, hop), whole))
        parts.append(samples.reshape(-1, uniforms.shape[1]))
    if length > end:
        state, samples = draw_all(step_contexts(state), end, uniforms[end:])
        parts.append(samples)
    return jnp.concatenate(parts), state
