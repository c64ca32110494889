"""The plain backend: `jax.lax.scan` over samples, ring buffers in its carry."""

from typing import Any

import jax
import jax.numpy as jnp

from wavenet_jax import distributions
from wavenet_jax.wavenet import State, WaveNet


def generate_chunk(
    model: WaveNet,
    params,
    state: State,
    uniforms: jax.Array,
    temperature: jax.Array,
    *,
    global_condition: jax.Array | None = None,
    local_condition: jax.Array | None = None,
    local_offset: int = 0,
) -> tuple[jax.Array, State]:
    """Draws a sample for each uniform number, one after the other.

    Args:
      model: the model.
      params: its variables.
      state: after the samples before.
      uniforms: in [0, 1), shape `[T, B]`.
      temperature: scalar.
      global_condition: labels `[B]` or vectors `[B, D]`.
      local_condition: labels `[B, F]` or vectors `[B, F, D]`.
      local_offset: samples of frame 0 that came before these.

    Returns:
      int32 codes, shape `[T, B]`, and the state after them.
    """
    conditions = model.apply(params, global_condition, local_condition, method="project_conditions")
    hop = model.config.hop_samples

    def draw(state: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        index, uniform = inputs
        frame = 0 if local_condition is None else (local_offset + index) // hop
        condition = jax.lax.dynamic_index_in_dim(conditions, frame, 0, False)
        logits, state = model.apply(params, state, condition, method="step")
        sample = distributions.categorical_sample(logits, uniform, temperature)
        return state.append(sample), sample

    steps = jnp.arange(uniforms.shape[0])
    state, samples = jax.lax.scan(draw, state, (steps, uniforms))
    return samples, state
