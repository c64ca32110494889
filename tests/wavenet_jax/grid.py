"""Small models of every kind, random parameters, codes and conditions for them.

The models' own initial parameters would prove little: their output layer is zero.
"""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavenet_jax import (
    AutoencoderConfig,
    ConditionConfig,
    ContextStackConfig,
    LocalConditionConfig,
    RecognizerConfig,
    WaveNet,
    WaveNetConfig,
    conditioning,
    training,
)
from wavenet_jax.conditioning import NO_LABEL

SMALL: dict[str, Any] = {
    "residual_channels": 6,
    "gate_channels": 7,
    "skip_channels": 24,
    "head_channels": 25,
    "num_classes": 16,
}

CONFIGS = {
    "plain": WaveNetConfig(dilations=(1, 2, 4, 1, 2), **SMALL),
    "gaps": WaveNetConfig(dilations=(1, 5), kernel_size=3, **SMALL),
    "speaker": WaveNetConfig(
        dilations=(1, 3, 2),
        kernel_size=3,
        input_kernel_size=2,
        global_condition=ConditionConfig("labels", size=3, channels=4),
        **SMALL,
    ),
    "phones": WaveNetConfig(
        dilations=(3, 1, 2),
        local_condition=LocalConditionConfig("labels", size=5, channels=4),
        **SMALL,
    ),
    "scalar": WaveNetConfig(
        dilations=(2, 1, 4),
        input_kernel_size=2,
        input="scalar",
        global_condition=ConditionConfig("vectors", size=5, channels=4),
        local_condition=LocalConditionConfig("vectors", size=2, channels=3, hop_samples=3),
        **SMALL,
    ),
    "all": WaveNetConfig(
        dilations=(1, 2, 5),
        kernel_size=3,
        global_condition=ConditionConfig("labels", size=3, channels=4),
        local_condition=LocalConditionConfig("vectors", size=3, channels=4, hop_samples=4),
        **(SMALL | {"num_classes": 256}),
    ),
    "tags, linear": WaveNetConfig(
        dilations=(1, 2, 4),
        input="scalar",
        output="gaussian",
        companding="linear",
        global_condition=ConditionConfig("tags", size=6, channels=3),
        local_condition=LocalConditionConfig(
            "vectors", size=3, channels=4, hop_samples=5, upsampling="linear"
        ),
        **(SMALL | {"num_classes": 4096}),
    ),
    "transposed": WaveNetConfig(
        dilations=(1, 2, 4),
        kernel_size=3,
        local_condition=LocalConditionConfig(
            "vectors", 3, 4, hop_samples=6, upsampling="transposed", factors=(2, 3)
        ),
        **SMALL,
    ),
    "labels, transposed, 16 bits": WaveNetConfig(
        dilations=(1, 3),
        input="scalar",
        output="logistic_mixture",
        num_components=3,
        companding="linear",
        local_condition=LocalConditionConfig(
            "labels", 5, 4, hop_samples=3, upsampling="transposed", factors=(3,)
        ),
        **(SMALL | {"num_classes": 65536}),
    ),
    "context": WaveNetConfig(
        dilations=(1, 2),
        context_stacks=(ContextStackConfig(4, (1, 2), residual_channels=5, gate_channels=6),),
        **SMALL,
    ),
    "contexts, speaker, transposed": WaveNetConfig(
        dilations=(2, 1),
        input_kernel_size=2,
        output="gaussian_mixture",
        num_components=2,
        global_condition=ConditionConfig("labels", size=3, channels=4),
        local_condition=LocalConditionConfig(
            "vectors", 2, 3, hop_samples=2, upsampling="transposed", factors=(2,)
        ),
        context_stacks=(
            ContextStackConfig(6, (1,), kernel_size=3, input="pooled"),
            ContextStackConfig(3, (1, 1), residual_channels=4, gate_channels=5, channels=6),
        ),
        **SMALL,
    ),
    "pooled scalar": WaveNetConfig(
        dilations=(1, 2),
        input="scalar",
        context_stacks=(ContextStackConfig(5, (2, 1), input="pooled"),),
        **SMALL,
    ),
    # So wide that a gradient finds a way through its ReLUs.
    "fftnet": WaveNetConfig(
        dilations=(4, 2, 1),
        block="fftnet",
        global_condition=ConditionConfig("labels", size=3, channels=4),
        local_condition=LocalConditionConfig("vectors", size=3, channels=4, hop_samples=4),
        **(SMALL | {"residual_channels": 34, "gate_channels": 17, "head_channels": 0}),
    ),
    "fftnet, context": WaveNetConfig(
        dilations=(5, 2),
        block="fftnet",
        input_kernel_size=2,
        input="scalar",
        output="logistic_mixture",
        num_components=2,
        context_stacks=(ContextStackConfig(4, (2, 1), residual_channels=18, gate_channels=19),),
        **(SMALL | {"residual_channels": 17, "gate_channels": 16, "skip_channels": 40}),
    ),
}

RECOGNIZERS = {
    "frames": RecognizerConfig(
        WaveNetConfig(dilations=(1, 3, 2), **SMALL),
        num_classes=5,
        hop_samples=4,
        channels=8,
        kernel_size=3,
        dilations=(1, 2),
    ),
    "ctc, context": RecognizerConfig(
        WaveNetConfig(
            dilations=(1, 2),
            kernel_size=3,
            input="scalar",
            context_stacks=(ContextStackConfig(6, (1, 2)),),
            **SMALL,
        ),
        num_classes=4,
        hop_samples=3,
        channels=6,
        kernel_size=5,
        dilations=(1,),
        loss="ctc",
    ),
}

AUTOENCODERS = {
    "notes": AutoencoderConfig(
        WaveNetConfig(
            dilations=(1, 2),
            global_condition=ConditionConfig("labels", size=3, channels=4),
            local_condition=LocalConditionConfig("vectors", size=3, channels=4, hop_samples=4),
            **SMALL,
        ),
        dilations=(1, 2),
        channels=16,
    ),
    "linear, context": AutoencoderConfig(
        WaveNetConfig(
            dilations=(2, 1),
            input="scalar",
            output="gaussian_mixture",
            num_components=2,
            local_condition=LocalConditionConfig(
                "vectors", size=2, channels=4, hop_samples=3, upsampling="linear"
            ),
            context_stacks=(ContextStackConfig(6, (1,)),),
            **(SMALL | {"num_classes": 256}),
        ),
        dilations=(3, 1, 1),
        kernel_size=5,
        channels=17,
    ),
}

CONFIGS |= {f"{name} of a recognizer": config.wavenet for name, config in RECOGNIZERS.items()}


COVERING = (
    "phones",
    "scalar",
    "all",
    "tags, linear",
    "labels, transposed, 16 bits",
    "contexts, speaker, transposed",
    "fftnet",
    "ctc, context of a recognizer",
)
"""Models of `CONFIGS` that together have every option that any of them has (`test_grid.py`)."""


def each(names: Iterable[str]) -> list[Any]:
    """Names of models to parametrize a test with: those of `CONFIGS` beyond `COVERING` are long."""
    beyond = CONFIGS.keys() - set(COVERING)
    return [pytest.param(n, marks=pytest.mark.long) if n in beyond else n for n in names]


def random_params(config: training.ModelConfig, seed: int = 0) -> Any:
    """Parameters of which none is zero, of such sizes that every layer matters."""
    shapes = jax.eval_shape(lambda: training.init_variables(config, jax.random.key(0)))
    random = np.random.default_rng(seed)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        inputs = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 4
        if any(getattr(key, "key", None) in ("table", "input") for key in path):
            inputs = 1  # embeddings are selected, not summed
        return jnp.asarray(random.normal(0, inputs**-0.5, leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def random_codes(config: WaveNetConfig, batch: int, length: int, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, config.num_classes, (batch, length)).astype(np.int32)


def conditions_for(
    config: WaveNetConfig, batch: int, length: int, seed: int = 2
) -> dict[str, np.ndarray]:
    """`global` and `local`, as far as the model takes them."""
    random = np.random.default_rng(seed)
    conditions = {}
    for name, leading in (
        ("global", (batch,)),
        ("local", (batch, num_frames(config, length))),
    ):
        condition = getattr(config, f"{name}_condition")
        if condition is None:
            continue
        if condition.kind == "tags":
            conditions[name] = random.integers(0, 2, (*leading, condition.size)).astype(np.int32)
        elif condition.kind == "labels":
            conditions[name] = random.integers(0, condition.size, leading).astype(np.int32)
        else:
            values = random.normal(0, 1, (*leading, condition.size))
            conditions[name] = values.astype(np.float32)
    return conditions


def num_frames(config: WaveNetConfig, length: int) -> int:
    """Frames of the local condition that cover so many samples."""
    local = config.local_condition
    return -(-length // local.hop_samples) if local else 0


def frames_of(config: WaveNetConfig, conditions: dict, start: int, length: int) -> Any:
    """The frames of the local condition that the samples from `start` on depend on."""
    if "local" not in conditions:
        return None
    return conditioning.frames_covering(config.local_condition, conditions["local"], start, length)


def no_condition(frames: np.ndarray) -> np.ndarray:
    """Frames without a condition, in the shape of `frames`."""
    filler = NO_LABEL if np.issubdtype(frames.dtype, np.integer) else 0
    return np.full_like(frames, filler)


def lags_of_taps(dilations: tuple[int, ...], kernel_size: int) -> set[int]:
    """The lags of all inputs that the outputs of such layers depend on."""
    lags = {0}
    for dilation in dilations:
        lags = {lag + tap * dilation for lag in lags for tap in range(kernel_size)}
    return lags


@functools.cache
def _call(config: WaveNetConfig) -> Any:
    def call(params, samples, global_condition, local_condition, context):
        return WaveNet(config).apply(
            params,
            samples,
            global_condition=global_condition,
            local_condition=local_condition,
            context=context,
        )

    return jax.jit(call, static_argnums=4)


def sequence_logits(
    config: WaveNetConfig,
    params: Any,
    samples: Any,
    conditions: dict,
    context: int = 0,
    start: int = 0,
) -> np.ndarray:
    """The whole sequence at once; the conditions are those from sample `start` on."""
    local = frames_of(config, conditions, start, samples.shape[1])
    return np.asarray(_call(config)(params, samples, conditions.get("global"), local, context))


@functools.cache
def _stepping(config: WaveNetConfig) -> Any:
    model = WaveNet(config)

    def run(params, codes, global_condition, local_condition):
        stacks = config.context_stacks
        state = model.apply(
            params, codes.shape[0], global_condition=global_condition, method="initial_state"
        )
        projected, samples_per_frame = model.apply(
            params, global_condition, local_condition, method="project_conditions"
        )

        def step(state, inputs):
            time, codes_now = inputs
            for index, stack in enumerate(stacks):
                stepped = model.apply(params, state, index, global_condition, method="step_context")
                begins = time % stack.hop_samples == 0
                choose = functools.partial(jnp.where, begins)
                state = jax.tree.map(choose, stepped, state)
            condition = projected[time // samples_per_frame if samples_per_frame else 0]
            if stacks:
                condition = condition + model.apply(params, state, method="project_contexts")
            logits, state = model.apply(params, state, condition, method="step")
            return state.append(codes_now), logits

        times = jnp.arange(codes.shape[1])
        state, logits = jax.lax.scan(step, state, (times, codes.T))
        return jnp.swapaxes(logits, 0, 1), state

    return jax.jit(run)


def step_logits(config: WaveNetConfig, params: Any, codes: Any, conditions: dict) -> tuple:
    """One sample after the other, through the ring buffers; logits and the last state."""
    local = frames_of(config, conditions, 0, codes.shape[1])
    return _stepping(config)(params, codes, conditions.get("global"), local)


@functools.cache
def _prefill(config: WaveNetConfig) -> Any:
    def prefill(params, state, codes, global_condition, local_condition, phase):
        return WaveNet(config).apply(
            params,
            state,
            codes,
            global_condition=global_condition,
            local_condition=local_condition,
            phase=phase,
            method="prefill",
        )

    return jax.jit(prefill, static_argnums=5)


def prefill_logits(
    config: WaveNetConfig, params: Any, codes: Any, conditions: dict, chunks: tuple[int, ...]
) -> tuple:
    """Chunk by chunk; logits and the last state."""
    assert sum(chunks) == codes.shape[1]
    state = jax.jit(
        lambda params, condition: WaveNet(config).apply(
            params, codes.shape[0], global_condition=condition, method="initial_state"
        )
    )(params, conditions.get("global"))
    hop, start, logits = config.hop_samples, 0, []
    for chunk in chunks:
        part, state = _prefill(config)(
            params,
            state,
            codes[:, start : start + chunk],
            conditions.get("global"),
            frames_of(config, conditions, start, chunk),
            start % hop,
        )
        logits.append(np.asarray(part))
        start += chunk
    return np.concatenate(logits, axis=1), state
