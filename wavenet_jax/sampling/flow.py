"""The backend of students: all samples of a chunk at once, by `Student.prefill`.

The noise of a sample is the normal number at the place of its uniform one, so that a waveform
depends on the key of its utterance alone, here too.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from wavenet_jax.sampling.on_devices import OnDevices
from wavenet_jax.sampling.protocol import ChunkConditions, Draws
from wavenet_jax.student.flows import GeneratorConfig, StudentConfig


class Flow(OnDevices):
    """`Student.prefill`: on any device, for students alone. A temperature multiplies the noise."""

    name = "flow"
    is_fused = False

    def unsupported_reason(
        self, config: GeneratorConfig, devices: Sequence[jax.Device] | None
    ) -> str | None:
        return None if isinstance(config, StudentConfig) else "models that are no students"

    def generate_chunk(
        self, model: Any, params: Any, state: Any, draws: Draws, conditions: ChunkConditions
    ) -> tuple[jax.Array, Any]:
        noise = ndtri(draws.uniforms) * draws.temperatures
        generated, state = model.apply(
            params,
            state,
            noise.T,
            global_condition=conditions.global_condition,
            local_condition=conditions.local_condition,
            phase=conditions.phase,
            method="prefill",
        )
        return model.config.teacher.distribution.code(jnp.transpose(generated.values)), state
