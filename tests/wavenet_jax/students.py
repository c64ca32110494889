"""Small students, random parameters and conditions for them."""

import dataclasses
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import (
    ConditionConfig,
    LocalConditionConfig,
    WaveNetConfig,
    conditioning,
    training,
)
from wavenet_jax.student.flows import StudentConfig

TEACHER = WaveNetConfig(
    dilations=(1, 2),
    input="scalar",
    output="gaussian",
    companding="linear",
    global_condition=ConditionConfig("labels", size=3, channels=4),
    local_condition=LocalConditionConfig(
        "vectors", size=3, channels=4, hop_samples=5, upsampling="linear"
    ),
    **(grid.SMALL | {"num_classes": 65536}),
)
CONFIG = StudentConfig(
    TEACHER,
    num_flows=2,
    dilations=(1, 3),
    residual_channels=5,
    gate_channels=6,
    skip_channels=7,
    head_channels=0,
    fft_sizes=(16, 8),
)
PLAIN = dataclasses.replace(
    CONFIG, teacher=dataclasses.replace(TEACHER, global_condition=None, local_condition=None)
)
LENGTH = 40


def random_params(config: StudentConfig, seed: int = 0) -> Any:
    """Parameters of which none is zero, and samples within [-1, 1]."""
    random = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        size = 0.3 if any(key.key == "output" for key in path) else 1.0
        inputs = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 4
        return jnp.asarray(random.normal(0, size * inputs**-0.5, leaf.shape), jnp.float32)

    shapes = jax.eval_shape(lambda: training.init_variables(config, jax.random.key(0)))
    params = jax.tree_util.tree_map_with_path(draw, shapes)
    last = params["params"][f"flows_{config.num_flows - 1}"]["output"]
    last["bias"] = jnp.asarray([0.01, -2.5])
    last["kernel"] = last["kernel"].at[:, 0].multiply(0.1)
    return params


def conditions(batch: int = 2, length: int = LENGTH) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    frames = random.normal(size=(batch, -(-length // 5), 3)).astype(np.float32)
    return np.arange(batch) % 3, frames


def covering(frames: np.ndarray, start: int, length: int) -> np.ndarray:
    assert TEACHER.local_condition is not None
    return conditioning.frames_covering(TEACHER.local_condition, frames, start, length)
