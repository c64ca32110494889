"""The CPU's backend: the loop over samples is one compiled function, with no dispatch inside."""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from wavenet_jax.config import WaveNetConfig
from wavenet_jax.sampling.cpu import kernels, packing
from wavenet_jax.sampling.cpu.packing import Conditions, CpuState
from wavenet_jax.sampling.on_devices import StatePrograms
from wavenet_jax.sampling.precision import Precision, quantize_weights
from wavenet_jax.sampling.protocol import (
    ChunkConditions,
    Draws,
    samples_per_projection,
    unsupported_layers,
)
from wavenet_jax.state import State
from wavenet_jax.student.flows import GeneratorConfig
from wavenet_jax.wavenet import WaveNet


class Cpu:
    """numba's kernels on the cores of this machine: of one device, which stands for them all."""

    name = "cpu"
    is_fused = True
    compiles_per_length = False
    weight_dtypes: Mapping[Precision, Any] = {
        "float32": np.float32,
        "bfloat16": np.uint16,
        "int8": np.int8,
    }

    def unsupported_reason(
        self, config: GeneratorConfig, devices: Sequence[jax.Device] | None
    ) -> str | None:
        platform = (devices or jax.local_devices())[0].platform
        if platform != "cpu":
            return f"a {platform}"
        if devices is not None and len(devices) > 1:
            return f"{len(devices)} devices"
        return unsupported_layers(config, packing.BLOCKS)

    def prepare(
        self,
        config: GeneratorConfig,
        params: Any,
        precision: Precision,
        devices: Sequence[jax.Device] | None,
    ) -> "CpuModel":
        assert isinstance(config, WaveNetConfig)
        (device, *_) = devices or jax.local_devices()
        return CpuModel(config, quantize_weights(params, precision), precision, device)


class CpuModel:
    """A model for the kernels; what surrounds them is computed by JAX."""

    def __init__(
        self, config: WaveNetConfig, params: Any, precision: Precision, device: jax.Device
    ):
        self._config, self._params, self._precision = config, params, precision
        self._weights = packing.pack(config, params, precision)
        self._output = packing.output_of(config)
        self._programs = _programs(config, device)

    def initial_state(self, batch: int, global_condition: Any = None) -> State:
        return self._programs.initial_state(self._params, batch, global_condition)

    def state_of(self, state: State | CpuState, items: np.ndarray) -> State | CpuState:
        if isinstance(state, State):
            return state.of_items(items)
        return CpuState([packing.share_of(state.shares, items)], state.contexts.of_items(items))

    def prefill(self, state: State, codes: np.ndarray, conditions: ChunkConditions) -> State:
        return self._programs.prefill(self._params, state, codes, conditions)

    def generate_chunk(
        self, state: State | CpuState, draws: Draws, conditions: ChunkConditions
    ) -> tuple[np.ndarray, CpuState]:
        ((codes, state),) = self.generate_parts(state, draws, conditions, len(draws.uniforms))
        return codes, state

    def generate_parts(
        self,
        state: State | CpuState,
        draws: Draws,
        conditions: ChunkConditions,
        part_samples: int,
    ) -> Iterator[tuple[np.ndarray, CpuState]]:
        if isinstance(state, State):
            shares = packing.pack_state(state, self._precision)
            state = CpuState(shares, dataclasses.replace(state, rings=()))
        projected = np.asarray(self._programs.project(self._params, conditions))
        numbers, temperatures = (
            np.asarray(each, np.float32).T for each in (draws.uniforms, draws.temperatures)
        )
        top_p = np.float32(1 if draws.top_p is None else draws.top_p)
        drawn = packing.Draws(numbers, temperatures, top_p, self._output)
        phase = conditions.phase
        samples_per_frame = samples_per_projection(self._config.local_condition)
        own = Conditions(projected, samples_per_frame, phase % max(1, samples_per_frame))
        length = numbers.shape[1]
        for begin in range(0, length, part_samples):
            end = min(length, begin + part_samples)
            codes, state = self._generate_between(state, drawn, own, conditions, begin, end)
            yield codes, state

    def _generate_between(
        self,
        state: CpuState,
        drawn: packing.Draws,
        own: Conditions,
        conditions: ChunkConditions,
        begin: int,
        end: int,
    ) -> tuple[np.ndarray, CpuState]:
        """Some samples of a chunk, of which `drawn`, `own` and `conditions` are."""
        if not self._config.context_stacks:
            part = _conditions_between(own, begin, end)
            return self._generate(state, drawn.of_samples(slice(begin, end)), part)
        frame, phase, parts = self._config.frame_samples, conditions.phase, []
        while begin < end:  # until the next step of a context stack
            is_due = not (phase + begin) % frame
            contexts, shares = self._programs.step_contexts(
                self._params, state.contexts, conditions.global_condition, is_due=is_due
            )
            state = dataclasses.replace(state, contexts=contexts)
            until = min(end, begin + frame - (phase + begin) % frame)
            codes, state = self._generate(
                state,
                drawn.of_samples(slice(begin, until)),
                _conditions_between(own, begin, until, np.asarray(shares)),
            )
            contexts = self._programs.append_codes(state.contexts, codes)
            state = dataclasses.replace(state, contexts=contexts)
            parts.append(codes)
            begin = until
        return np.concatenate(parts, axis=1), state

    def _generate(
        self, state: CpuState, draws: packing.Draws, conditions: Conditions
    ) -> tuple[np.ndarray, CpuState]:
        """Samples between which no context stack steps."""
        codes: np.ndarray = np.zeros(draws.uniforms.shape, np.int32)
        shares = packing.share_out(state.shares)
        jobs, first = [], 0
        with concurrent.futures.ThreadPoolExecutor(len(shares)) as threads:
            for share in shares:
                items = slice(first, first := first + len(share.samples))
                frames = conditions.frames
                if frames.shape[2] > 1:
                    frames = frames[:, :, items]
                jobs.append(
                    threads.submit(
                        kernels.generate,
                        self._weights,
                        share,
                        packing.make_workspace(self._weights, share),
                        conditions._replace(frames=packing.read_only(frames)),
                        draws.of_items(items),
                        codes[items],
                    )
                )
            for job in jobs:
                job.result()
        shares = [share._replace(time=share.time + codes.shape[1]) for share in shares]
        return codes, dataclasses.replace(state, shares=shares)


def _conditions_between(
    conditions: Conditions, begin: int, end: int, contexts: np.ndarray | None = None
) -> Conditions:
    """The conditions of some of the samples, with the shares of context stacks `[L, B, 2G]`."""
    frames, size, phase = conditions
    if size:
        first, phase = divmod(phase + begin, size)
        frames = frames[first : -(-(conditions.phase + end) // size)]
    return Conditions(frames if contexts is None else frames + contexts[None], size, phase)


class _Programs(StatePrograms):
    """Compiled programs of what surrounds the kernels."""

    def __init__(self, config: WaveNetConfig, device: jax.Device):
        super().__init__(config, (device,))
        model = WaveNet(config)

        def project(params: Any, conditions: ChunkConditions) -> Any:
            return model.apply(
                params,
                conditions.global_condition,
                conditions.local_condition,
                conditions.phase,
                method="project_conditions",
            )[0]

        def step_contexts(
            params: Any, state: Any, global_condition: Any, *, is_due: bool
        ) -> tuple[Any, Any]:
            if is_due:
                state = model.apply(params, state, global_condition, method="step_contexts")
            return state, model.apply(params, state, method="project_contexts")

        self.project = jax.jit(project)
        self.step_contexts = jax.jit(step_contexts, static_argnames="is_due")
        self.append_codes = jax.jit(lambda state, codes: state.extend(codes.T))


_programs = functools.lru_cache(maxsize=8)(_Programs)
