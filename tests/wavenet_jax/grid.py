"""Small models of every kind, random parameters for them, and something to say.

The models' own first parameters would prove little: their output layer is zero.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import ConditionConfig, WaveNet, WaveNetConfig
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
        local_condition=ConditionConfig("labels", size=5, channels=4),
        **SMALL,
    ),
    "scalar": WaveNetConfig(
        dilations=(2, 1, 4),
        input_kernel_size=2,
        input="scalar",
        global_condition=ConditionConfig("vectors", size=5, channels=4),
        local_condition=ConditionConfig("vectors", size=2, channels=3, hop_samples=3),
        **SMALL,
    ),
    "all": WaveNetConfig(
        dilations=(1, 2, 5),
        kernel_size=3,
        global_condition=ConditionConfig("labels", size=3, channels=4),
        local_condition=ConditionConfig("vectors", size=3, channels=4, hop_samples=4),
        **(SMALL | {"num_classes": 256}),
    ),
}


def random_params(config: WaveNetConfig, seed: int = 0) -> Any:
    """Parameters of which none is zero, of such sizes that every layer matters."""
    conditions = {
        f"{name}_condition": values[:, :1] if name == "local" else values
        for name, values in conditions_for(config, batch=1, length=config.hop_samples).items()
    }
    shapes = jax.eval_shape(
        WaveNet(config).init, jax.random.key(0), jnp.zeros((1, 1), jnp.int32), **conditions
    )
    random = np.random.default_rng(seed)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        inputs = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 4
        if any(getattr(key, "key", None) in ("table", "input") for key in path):
            inputs = 1  # rows are picked, not summed
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
        ("local", (batch, -(-length // config.hop_samples))),
    ):
        condition = getattr(config, f"{name}_condition")
        if condition is None:
            continue
        if condition.kind == "labels":
            conditions[name] = random.integers(0, condition.size, leading).astype(np.int32)
        else:
            values = random.normal(0, 1, (*leading, condition.size))
            conditions[name] = values.astype(np.float32)
    return conditions


def no_condition(frames: np.ndarray) -> np.ndarray:
    """What stands where nothing is known, in the shape of `frames`."""
    filler = NO_LABEL if np.issubdtype(frames.dtype, np.integer) else 0
    return np.full_like(frames, filler)


def reached_lags(config: WaveNetConfig, first_layer: int = 0) -> set[int]:
    """How far back the outputs of the layers from `first_layer` on reach, tap by tap."""
    lags = {0}
    for dilation in config.dilations[first_layer:]:
        lags = {lag + tap * dilation for lag in lags for tap in range(config.kernel_size)}
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
    config: WaveNetConfig, params: Any, samples: Any, conditions: dict, context: int = 0
) -> np.ndarray:
    """The whole sequence at once."""
    return np.asarray(
        _call(config)(params, samples, conditions.get("global"), conditions.get("local"), context)
    )


@functools.cache
def _stepping(config: WaveNetConfig) -> Any:
    model = WaveNet(config)

    def run(params, codes, global_condition, local_condition):
        state = model.apply(
            params, codes.shape[0], global_condition=global_condition, method="initial_state"
        )
        projected = model.apply(
            params, global_condition, local_condition, method="project_conditions"
        )

        def step(state, inputs):
            time, codes_now = inputs
            frame = 0 if local_condition is None else time // config.hop_samples
            logits, state = model.apply(params, state, projected[frame], method="step")
            return state.append(codes_now), logits

        times = jnp.arange(codes.shape[1])
        state, logits = jax.lax.scan(step, state, (times, codes.T))
        return jnp.swapaxes(logits, 0, 1), state

    return jax.jit(run)


def step_logits(config: WaveNetConfig, params: Any, codes: Any, conditions: dict) -> tuple:
    """One sample after the other, through the ring buffers; logits and the last state."""
    return _stepping(config)(params, codes, conditions.get("global"), conditions.get("local"))


@functools.cache
def _prefill(config: WaveNetConfig) -> Any:
    def prefill(params, state, codes, global_condition, local_condition, offset):
        return WaveNet(config).apply(
            params,
            state,
            codes,
            global_condition=global_condition,
            local_condition=local_condition,
            local_offset=offset,
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
        local = conditions.get("local")
        if local is not None:
            local = local[:, start // hop : -(-(start + chunk) // hop)]
        part, state = _prefill(config)(
            params,
            state,
            codes[:, start : start + chunk],
            conditions.get("global"),
            local,
            start % hop,
        )
        logits.append(np.asarray(part))
        start += chunk
    return np.concatenate(logits, axis=1), state
