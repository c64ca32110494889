"""The plain backend, with which the others must agree: `jax.lax.scan` over samples, the ring
buffers in its carry.

With context stacks it is a scan over frames around a scan over samples.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from wavenet_jax.sampling.on_devices import OnDevices
from wavenet_jax.sampling.protocol import STUDENTS, ChunkConditions, Draws
from wavenet_jax.state import State
from wavenet_jax.student.flows import GeneratorConfig, StudentConfig
from wavenet_jax.wavenet import WaveNet


class Scan(OnDevices):
    """`jax.lax.scan` over `WaveNet.step`: on any device, for any WaveNet."""

    name = "scan"
    is_fused = False

    def unsupported_reason(
        self, config: GeneratorConfig, devices: Sequence[jax.Device] | None
    ) -> str | None:
        return STUDENTS if isinstance(config, StudentConfig) else None

    def generate_chunk(
        self,
        model: WaveNet,
        params: Any,
        state: State,
        draws: Draws,
        conditions: ChunkConditions,
    ) -> tuple[jax.Array, State]:
        distribution = model.config.distribution

        def draw(
            parameters: jax.Array, inputs: tuple[jax.Array, jax.Array]
        ) -> tuple[jax.Array, jax.Array]:
            uniform, temperature = inputs
            sample = distribution.sample(parameters, uniform, temperature, draws.top_p)
            return sample, sample

        inputs = draws.uniforms, draws.temperatures
        return scan_samples(model, params, state, inputs, conditions, draw)


Draw = Callable[[jax.Array, Any], tuple[jax.Array, Any]]


def scan_samples(
    model: WaveNet,
    params: Any,
    state: State,
    inputs: Any,
    conditions: ChunkConditions,
    draw: Draw,
) -> tuple[Any, State]:
    """Steps through samples, one after the other.

    Args:
      model, params, state, conditions: as for `OnDevices.generate_chunk`.
      inputs: a pytree of what `draw` reads of each sample, leaves `[T, B]`.
      draw: from the parameters of the distribution `[B, P]` and the inputs `[B]` of a sample to
        its codes int32 `[B]` and an output `[B]`.

    Returns:
      The outputs `[T, B]`, and the state after the samples.
    """
    config = model.config
    projected: jax.Array
    samples_per_frame: int
    projected, samples_per_frame = model.apply(  # type: ignore[assignment]
        params,
        conditions.global_condition,
        conditions.local_condition,
        conditions.phase,
        method="project_conditions",
    )
    offset = conditions.phase % max(1, samples_per_frame)

    def scan_between(state: State, first: Any, inputs: Any) -> tuple[State, Any]:
        contexts: Any = None
        if config.context_stacks:
            contexts = model.apply(params, state, method="project_contexts")

        def step(state: Any, indexed: tuple[jax.Array, Any]) -> tuple[Any, Any]:
            index, inputs = indexed
            frame = (index + offset) // samples_per_frame if samples_per_frame else 0
            condition = jax.lax.dynamic_index_in_dim(projected, frame, 0, False)
            if contexts is not None:
                condition = condition + contexts
            parameters, state = model.apply(params, state, condition, method="step")
            codes, output = draw(parameters, inputs)
            return state.append(codes), output

        length = len(jax.tree.leaves(inputs)[0])
        return jax.lax.scan(step, state, (first + jnp.arange(length), inputs))

    return over_frames(model, params, state, inputs, conditions, scan_between)


ScanBetween = Callable[[State, Any, Any], tuple[State, Any]]


def over_frames(
    model: WaveNet,
    params: Any,
    state: State,
    inputs: Any,
    conditions: ChunkConditions,
    scan_between: ScanBetween,
) -> tuple[Any, State]:
    """Steps the context stacks where they are due, and `scan_between` them.

    Args:
      model, params, state, inputs, conditions: as for `scan_samples`.
      scan_between: from the state, the index of the first sample and the inputs of samples
        between which no context stack steps, to the state after them and the outputs `[T', B]`.

    Returns:
      As `scan_samples`.
    """
    if not model.config.context_stacks:
        state, outputs = scan_between(state, 0, inputs)
        return outputs, state

    def step_contexts(state: State) -> State:
        stepped: Any = model.apply(
            params, state, conditions.global_condition, method="step_contexts"
        )
        return stepped

    def scan_frame(state: Any, indexed: tuple[jax.Array, Any]) -> tuple[Any, Any]:
        return scan_between(step_contexts(state), *indexed)

    # The rest of a frame that was begun, whole frames, and the beginning of another.
    length, hop = len(jax.tree.leaves(inputs)[0]), model.config.frame_samples
    begun = min(-conditions.phase % hop, length)
    end = length - (length - begun) % hop
    parts = []
    if begun:
        state, outputs = scan_between(state, 0, jax.tree.map(lambda x: x[:begun], inputs))
        parts.append(outputs)
    if end > begun:
        frames = jax.tree.map(lambda x: x[begun:end].reshape(-1, hop, *x.shape[1:]), inputs)
        state, outputs = jax.lax.scan(scan_frame, state, (jnp.arange(begun, end, hop), frames))
        parts.append(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs))
    if length > end:
        rest = jax.tree.map(lambda x: x[end:], inputs)
        state, outputs = scan_between(step_contexts(state), end, rest)
        parts.append(outputs)
    return jax.tree.map(lambda *outputs: jnp.concatenate(outputs), *parts), state
