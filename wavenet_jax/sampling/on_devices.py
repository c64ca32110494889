"""Backends whose chunk is a JAX program on each device, the batch spread over them."""

import abc
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from wavenet_jax import parallel
from wavenet_jax.parallel import BATCH, REPLICATED
from wavenet_jax.sampling.precision import PRECISIONS, Precision, quantize_weights
from wavenet_jax.sampling.protocol import ChunkConditions, Draws
from wavenet_jax.state import State
from wavenet_jax.student.flows import GeneratorConfig, StudentConfig, model_of
from wavenet_jax.wavenet import WaveNet

_BATCH_SECOND = PartitionSpec(None, *BATCH)

GenerateChunk = Callable[[Any, Any, Any, Draws, ChunkConditions], tuple[jax.Array, Any]]


class OnDevices(abc.ABC):
    """A backend that defines `generate_chunk` of the batch items of one device."""

    name: str
    is_fused: bool
    compiles_per_length = True
    weight_dtypes: Mapping[Precision, Any] = dict.fromkeys(PRECISIONS, np.float32)

    @abc.abstractmethod
    def unsupported_reason(
        self, config: GeneratorConfig, devices: Sequence[jax.Device] | None
    ) -> str | None:
        """As `Backend.unsupported_reason`."""

    @abc.abstractmethod
    def generate_chunk(
        self,
        model: WaveNet,
        params: Any,
        state: State,
        draws: Draws,
        conditions: ChunkConditions,
    ) -> tuple[jax.Array, State]:
        """Traced: draws a sample for each uniform number, one after the other.

        Returns:
          int32 codes `[T, B]`, and the state after them.
        """

    def prepare(
        self,
        config: GeneratorConfig,
        params: Any,
        precision: Precision,
        devices: Sequence[jax.Device] | None,
    ) -> "ModelOnDevices":
        devices = tuple(devices or jax.local_devices())
        params = quantize_weights(params, precision)
        return ModelOnDevices(config, params, devices, self.generate_chunk)


class ModelOnDevices:
    """A model on some devices; no more of them are used than there are batch items."""

    def __init__(
        self,
        config: GeneratorConfig,
        params: Any,
        devices: tuple[jax.Device, ...],
        generate_chunk: GenerateChunk,
    ):
        self._config, self._params, self._devices = config, params, devices
        self._generate_chunk = generate_chunk

    def initial_state(self, batch: int, global_condition: Any = None) -> State:
        padded = self._padding(batch)
        if global_condition is not None:
            global_condition = global_condition[padded]
        return self.programs(batch).initial_state(self._params, len(padded), global_condition)

    def state_of(self, state: Any, items: np.ndarray) -> Any:
        chosen = items[self._padding(len(items))]
        is_state = lambda each: isinstance(each, State)  # noqa: E731, a student has one a flow
        return jax.tree.map(lambda each: each.of_items(chosen), state, is_leaf=is_state)

    def prefill(self, state: State, codes: np.ndarray, conditions: ChunkConditions) -> State:
        padded = self._padding(len(codes))
        arguments = (codes[padded], jax.tree.map(lambda x: x[padded], conditions))
        return self.programs(len(codes)).prefill(self._params, state, *arguments)

    def generate_chunk(
        self, state: State, draws: Draws, conditions: ChunkConditions
    ) -> tuple[np.ndarray, State]:
        batch = draws.uniforms.shape[1]
        padded = self._padding(batch)
        if len(padded) > batch:
            uniforms, temperatures = draws.uniforms[:, padded], draws.temperatures[:, padded]
            draws = Draws(uniforms, temperatures, draws.top_p)
            conditions = jax.tree.map(lambda x: x[padded], conditions)
        codes, state = self.programs(batch).generate_chunk(self._params, state, draws, conditions)
        return np.asarray(codes)[:batch], state

    def generate_parts(
        self, state: State, draws: Draws, conditions: ChunkConditions, part_samples: int
    ) -> Iterator[tuple[np.ndarray, State]]:
        del part_samples  # a chunk is one program
        yield self.generate_chunk(state, draws, conditions)

    def programs(self, batch: int) -> "Programs":
        """The compiled programs for a batch."""
        return _programs(self._config, self._devices[:batch], self._generate_chunk)

    def _padding(self, batch: int) -> np.ndarray:
        """Indices of batch items, as many on each device."""
        return parallel.padded_indices(batch, min(batch, len(self._devices)))


class StatePrograms:
    """Compiled programs that make the state before the first sample to generate."""

    def __init__(self, config: GeneratorConfig, devices: tuple[jax.Device, ...]):
        self._model: Any = model_of(config)
        if isinstance(config, StudentConfig):
            self._state_spec: Any = (parallel.state_spec(config.flow),) * config.num_flows
        else:
            self._state_spec = parallel.state_spec(config)
        self._devices = devices
        self.initial_state = jax.jit(self._initial_state, static_argnums=1)
        self.prefill = jax.jit(self._prefill, donate_argnums=1)

    def _initial_state(self, params, batch, global_condition):
        def initial_state(params, global_condition):
            return self._model.apply(
                params,
                batch // len(self._devices),
                global_condition=global_condition,
                method="initial_state",
            )

        specs = (REPLICATED, BATCH), self._state_spec
        return parallel.shard_over_batch(initial_state, self._devices, *specs)(
            params, global_condition
        )

    def _prefill(self, params, state, codes, conditions):
        def prefill(params, state, codes, conditions):
            _, state = self._model.apply(
                params,
                state,
                codes,
                global_condition=conditions.global_condition,
                local_condition=conditions.local_condition,
                phase=conditions.phase,
                method="prefill",
            )
            return state

        specs = (REPLICATED, self._state_spec, BATCH, BATCH), self._state_spec
        return parallel.shard_over_batch(prefill, self._devices, *specs)(
            params, state, codes, conditions
        )


class Programs(StatePrograms):
    """Compiled programs of one model on some devices."""

    def __init__(
        self,
        config: GeneratorConfig,
        devices: tuple[jax.Device, ...],
        generate_chunk: GenerateChunk,
    ):
        super().__init__(config, devices)
        self._chunk_of_device = generate_chunk
        self.generate_chunk = jax.jit(self._generate_chunk, donate_argnums=1)

    def _generate_chunk(self, params, state, draws, conditions):
        def generate_chunk(*arguments):
            codes, state = self._chunk_of_device(self._model, *arguments)
            return codes.T, state

        of_draws: Any = Draws(_BATCH_SECOND, _BATCH_SECOND, REPLICATED)
        in_specs = (REPLICATED, self._state_spec, of_draws, BATCH)
        out_specs = (BATCH, self._state_spec)
        return parallel.shard_over_batch(generate_chunk, self._devices, in_specs, out_specs)(
            params, state, draws, conditions
        )


_programs = functools.lru_cache(maxsize=8)(Programs)
