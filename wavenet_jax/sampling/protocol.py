"""What a backend is: the one interface through which generation, the benchmark and tests use it.

A backend is one file that defines an object with the members of `Backend`, and one line in
`backends.BACKENDS`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

import flax.struct
import jax
import numpy as np

from wavenet_jax.config import LocalConditionConfig
from wavenet_jax.sampling.precision import Precision
from wavenet_jax.student.flows import GeneratorConfig, StudentConfig


@flax.struct.dataclass
class ChunkConditions:
    """Conditions of consecutive samples.

    Attributes:
      global_condition: labels `[B]`, or tags or vectors `[B, D]`, or None.
      local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`, or None: the frames that
        cover the samples, or more (`conditioning.frames_covering`).
      phase: index of the first sample modulo the config's `hop_samples`.
    """

    global_condition: Any = None
    local_condition: Any = None
    phase: int = flax.struct.field(pytree_node=False, default=0)


@flax.struct.dataclass
class Draws:
    """What decides, beside the model, which consecutive samples are drawn.

    Attributes:
      uniforms: in (0, 1), float32 `[T, B]` (`randomness.uniforms`).
      temperatures: of the distributions, float32 `[T, B]`.
      top_p: of the distributions, float32, a scalar; None to draw among all codes.
    """

    uniforms: Any
    temperatures: Any
    top_p: Any = None


def make_draws(uniforms: Any, temperature: Any = 1.0, top_p: float = 1.0) -> Draws:
    """Draws of uniform numbers `[T, B]`, of one temperature or one for each `[T, B]`, and of a
    probability of which 1 is that of all codes."""
    temperatures = np.broadcast_to(np.asarray(temperature, np.float32), np.shape(uniforms))
    return Draws(uniforms, temperatures, None if top_p == 1 else np.float32(top_p))


class PreparedModel(Protocol):
    """A model's parameters as the programs of one backend read them.

    Its states are opaque: a state that was passed to a method must not be used again, unless the
    method was `state_of`.
    """

    def initial_state(self, batch: int, global_condition: Any = None) -> Any:
        """The state before sample 0, after endless silence."""

    def state_of(self, state: Any, items: np.ndarray) -> Any:
        """The state of some batch items, indices `[B']`, each as often as it is named. It shares
        no memory with `state`, which can be used as before."""

    def prefill(self, state: Any, codes: np.ndarray, conditions: ChunkConditions) -> Any:
        """The state after given samples, codes `[B, T]`; before any are generated."""

    def generate_chunk(
        self, state: Any, draws: Draws, conditions: ChunkConditions
    ) -> tuple[np.ndarray, Any]:
        """Draws a sample for each uniform number, one after the other.

        Args:
          state: after the samples before.
          draws: of T samples.
          conditions: of these samples.

        Returns:
          int32 codes `[B, T]`, and the state after them.
        """

    def generate_parts(
        self, state: Any, draws: Draws, conditions: ChunkConditions, part_samples: int
    ) -> Iterator[tuple[np.ndarray, Any]]:
        """As `generate_chunk`, of which parts are there before the others are generated.

        Args:
          state, draws, conditions: as of `generate_chunk`.
          part_samples: how many at a time, where the backend can; else all.

        Yields:
          int32 codes `[B, N]`, and the state after them.
        """


class Backend(Protocol):
    """A way to generate.

    Attributes:
      name: by which users choose it.
      is_fused: whether it computes the layers itself instead of by `WaveNet.step`, so that its
        numbers are compared with those of `WaveNet.step` before they are used.
      weight_dtypes: the precisions it supports, and as what it keeps a weight at each.
      compiles_per_length: whether each length of a chunk is one more program to compile.
    """

    name: str
    is_fused: bool
    weight_dtypes: Mapping[Precision, Any]
    compiles_per_length: bool

    def unsupported_reason(
        self, config: GeneratorConfig, devices: Sequence[jax.Device] | None
    ) -> str | None:
        """What of a model or of devices (None: those of this process) it does not support, as a
        noun ("layers that compute in bfloat16"), or None."""

    def prepare(
        self,
        config: GeneratorConfig,
        params: Any,
        precision: Precision,
        devices: Sequence[jax.Device] | None,
    ) -> PreparedModel:
        """The model with its weights at a precision, float32 variables `params`."""


STUDENTS = "students"
"""What all backends but one do not support, as a noun."""


def unsupported_layers(config: GeneratorConfig, blocks: Collection[str]) -> str | None:
    """Layers that a fused backend with the arithmetic of those blocks does not cover, or None."""
    if isinstance(config, StudentConfig):
        return STUDENTS
    if config.block not in blocks:
        return f"blocks of the kind {config.block!r}"
    if config.dtype != "float32":
        return f"layers that compute in {config.dtype}"
    return None


def samples_per_projection(local: LocalConditionConfig | None) -> int:
    """Samples for which one frame of projected conditions holds, 0 for all."""
    if local is None:
        return 0
    return local.hop_samples if local.upsampling == "repeat" else 1
