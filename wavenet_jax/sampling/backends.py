"""The backends, how one is chosen, and the proof that its arithmetic is the model's.

A fused backend computes the layers itself. So that a changed layer is not generated with the
arithmetic of the old one, the samples that it draws are compared, once for each model and precision
in a process, with the distributions that `WaveNet.step` gives.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from wavenet_jax import conditioning
from wavenet_jax.config import ConditionConfig, WaveNetConfig
from wavenet_jax.errors import InputError
from wavenet_jax.sampling.cpu import Cpu
from wavenet_jax.sampling.flow import Flow
from wavenet_jax.sampling.pallas import Pallas
from wavenet_jax.sampling.precision import Precision, check_precision, quantize_weights
from wavenet_jax.sampling.protocol import Backend, ChunkConditions, make_draws
from wavenet_jax.sampling.scan import Scan, scan_samples
from wavenet_jax.student.flows import GeneratorConfig
from wavenet_jax.wavenet import WaveNet

_IN_ORDER: tuple[Backend, ...] = (Cpu(), Scan(), Pallas(), Flow())

BACKENDS = {backend.name: backend for backend in _IN_ORDER}
"""By name, in the order of preference of `auto`. (Pallas comes after `scan`, which runs everything:
its speed has not been measured on the devices that it is for. Students have `flow` alone.)"""

_CHECKED_SAMPLES, _CHECKED_TEMPERATURES, _CHECKED_TOP_P = 24, (0.7, 1.0), 0.8
_TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-4, "int8": 1e-3}
"""Of uniform numbers, of top_p and of values in [-1, 1]: more than rounding comes to."""


def choose(config: GeneratorConfig, name: str, devices: Sequence[jax.Device] | None) -> Backend:
    """The backend of that name, or for `auto` the first that supports model and devices.

    Raises:
      InputError: there is none of that name, or it does not support what is asked.
    """
    return _candidates(config, name, devices)[0]


def supports(config: GeneratorConfig, name: str, devices: Sequence[jax.Device] | None) -> bool:
    """Whether the backend of that name supports a model on devices (None: of this process)."""
    return not BACKENDS[name].unsupported_reason(config, devices)


def choose_verified(
    config: GeneratorConfig,
    params: Any,
    name: str,
    devices: Sequence[jax.Device] | None,
    precision: Precision,
    batch: int,
    *,
    has_top_p: bool = False,
) -> Backend:
    """As `choose`, of the backends that support the precision and whose arithmetic is the model's,
    that of top-p sampling included where it is asked for.

    Raises:
      InputError: as `choose`, and for a backend chosen by its name that draws other samples.
    """
    check_precision(precision)
    for backend in _candidates(config, name, devices):
        if precision not in backend.weight_dtypes:
            if name != "auto":
                raise InputError(
                    f"The {name} backend does not support weights of {precision}: use one of "
                    f"{', '.join(backend.weight_dtypes)}."
                )
            continue
        if not backend.is_fused:
            return backend
        assert isinstance(config, WaveNetConfig)
        arguments = (backend, config, params, precision, devices, batch)
        if _is_verified(*arguments, has_top_p):
            return backend
        if name != "auto":
            raise InputError(
                f"The {name} backend computes other layers than WaveNet.step does here: "
                "use backend='auto', or teach it the changed layers."
            )
    raise InputError(f"No backend generates this model with weights of {precision}: use float32.")


def _candidates(
    config: GeneratorConfig, name: str, devices: Sequence[jax.Device] | None
) -> list[Backend]:
    """The backend of that name, or for `auto` all that support model and devices."""
    if name != "auto" and name not in BACKENDS:
        raise InputError(f"The backend is {name!r}: use one of auto, {', '.join(BACKENDS)}.")
    able = [each for each in BACKENDS.values() if not each.unsupported_reason(config, devices)]
    if name == "auto":
        return able
    if reason := BACKENDS[name].unsupported_reason(config, devices):
        raise InputError(f"The {name} backend does not support {reason}: use {able[0].name}.")
    return [BACKENDS[name]]


# -- the proof ------------------------------------------------------------------------

_verified: dict[Any, bool] = {}


def _is_verified(
    backend: Backend,
    config: WaveNetConfig,
    params: Any,
    precision: Precision,
    devices: Sequence[jax.Device] | None,
    batch: int,
    has_top_p: bool,
) -> bool:
    """Whether the backend draws the model's samples; a warning says, once, that it does not."""
    platform = (devices or jax.local_devices())[0].platform
    key = (backend, config, precision, platform, has_top_p)
    if key not in _verified:
        agreements = draw_agreements(
            backend, config, params, precision, devices, batch, has_top_p=has_top_p
        )
        _verified[key] = bool(agreements.all())
        if not _verified[key]:
            logging.warning(
                "The %s backend computes other layers than WaveNet.step does here, so that auto "
                "does not use it: choose backend='scan', or teach it the changed layers.",
                backend.name,
            )
    return _verified[key]


def draw_agreements(
    backend: Backend,
    config: WaveNetConfig,
    params: Any,
    precision: Precision,
    devices: Sequence[jax.Device] | None,
    batch: int,
    tolerance: float | None = None,
    *,
    has_top_p: bool = False,
) -> np.ndarray:
    """Whether the samples that a backend draws are those of `WaveNet.step`, beyond rounding.

    Args:
      backend, config, precision, devices: as of `generate`.
      params: the model's variables, of which the shapes alone count: the output layer of a fresh
        model is zero and would prove nothing.
      batch: the caller's, for which other programs are compiled as well.
      tolerance: of uniform numbers, of top_p and of values in [-1, 1].
      has_top_p: whether to draw among the likeliest codes alone.

    Returns:
      bool `[T, B]`, of a few samples.
    """
    random = np.random.default_rng(0)
    params = _random_params(config, params, random)
    length = _CHECKED_SAMPLES
    conditions = _random_conditions(config, batch, length, random)
    uniforms = random.uniform(0.001, 0.999, (length, batch)).astype(np.float32)
    model = backend.prepare(config, params, precision, devices)
    state = model.initial_state(batch, conditions.global_condition)
    temperatures = random.uniform(*_CHECKED_TEMPERATURES, (length, batch))
    draws = make_draws(uniforms, temperatures, _CHECKED_TOP_P if has_top_p else 1.0)
    codes, _ = model.generate_chunk(state, draws, conditions)
    largest = np.float32(_TOLERANCE[precision] if tolerance is None else tolerance)
    arguments = (quantize_weights(params, precision), draws, codes.T, conditions, largest)
    return np.asarray(_agreement_program(config)(*arguments))


@functools.lru_cache(maxsize=8)
def _agreement_program(config: WaveNetConfig) -> Any:
    """Compiled: steps through codes `[T, B]`, each of which it compares with those that numbers
    a little smaller and greater draw, among a little fewer and more of the codes."""
    model, distribution = WaveNet(config), config.distribution

    def run(params, draws, codes, conditions, tolerance):
        state: Any = model.apply(
            params,
            codes.shape[1],
            global_condition=conditions.global_condition,
            method="initial_state",
        )
        margin = jnp.int32(0)
        if config.output != "categorical":  # codes lie along the values
            margin = 1 + jnp.ceil(tolerance * config.num_classes / 2).astype(jnp.int32)

        def compare(parameters, inputs):
            uniform, temperature, code = inputs
            shifts, tops = (-tolerance, 0, tolerance), (None,)
            if draws.top_p is not None:
                tops = tuple(draws.top_p + shift for shift in shifts)
            nearby = jnp.stack(
                [
                    distribution.sample(
                        parameters, jnp.clip(uniform + shift, 1e-6, 1 - 1e-6), temperature, top_p
                    )
                    for shift in shifts
                    for top_p in tops
                ]
            )
            is_near = (code >= nearby.min(0) - margin) & (code <= nearby.max(0) + margin)
            return code, is_near

        inputs = draws.uniforms, draws.temperatures, codes
        return scan_samples(model, params, state, inputs, conditions, compare)[0]

    # It runs once and briefly, so that LLVM's optimisations do not pay.
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(run, compiler_options=options)


def _random_params(config: WaveNetConfig, params: Any, random: np.random.Generator) -> Any:
    """Variables of the shapes of `params`, of such sizes that every layer matters."""
    first_bias = config.distribution.initial_bias()

    def draw(path: tuple[Any, ...], leaf: Any) -> np.ndarray:
        names = [getattr(key, "key", None) for key in path]
        inputs = np.prod(np.shape(leaf)[:-1]) if np.ndim(leaf) > 1 else 16
        if "table" in names or "input" in names:
            inputs = 1  # one of its vectors is picked, none are summed
        values = random.normal(0, inputs**-0.5, np.shape(leaf))
        if names == ["params", "output", "bias"]:
            values += first_bias
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, params)


def _random_conditions(
    config: WaveNetConfig, batch: int, length: int, random: np.random.Generator
) -> ChunkConditions:
    """Conditions of the first `length` samples."""

    def draw(condition: ConditionConfig, leading: tuple[int, ...]) -> np.ndarray:
        if condition.kind == "vectors":
            return random.normal(0, 1, (*leading, condition.size)).astype(np.float32)
        if condition.kind == "tags":
            return random.integers(0, 2, (*leading, condition.size)).astype(np.int32)
        return random.integers(0, condition.size, leading).astype(np.int32)

    local = config.local_condition
    frames = None
    if local is not None:
        frames = draw(local, (batch, -(-length // local.hop_samples)))
        frames = conditioning.frames_covering(local, frames, 0, length)
    of_all = config.global_condition
    return ChunkConditions(of_all and draw(of_all, (batch,)), frames)
