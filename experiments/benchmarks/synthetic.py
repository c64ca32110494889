"""Models and random inputs in place of a corpus's."""

import copy
from typing import Any

import ml_collections
import numpy as np

from experiments.common.model import labels_of, model_config
from wavenet_jax import ConditionConfig, WaveNetConfig

NUM_CLASSES = 50
"""Classes of each label; speed hardly depends on how many there are."""


def model_of(config: ml_collections.ConfigDict) -> WaveNetConfig:
    """The model of a config, with its conditions, for labels of `NUM_CLASSES` classes each."""
    classes = [str(i) for i in range(NUM_CLASSES)]
    if config.get("recognizer"):
        config = copy.deepcopy(config)
        config.recognizer.folding = "none"
    return model_config(config, dict.fromkeys(labels_of(config), classes))


def conditions(model: WaveNetConfig, batch: int, length: int) -> dict[str, Any]:
    """Random conditions of recordings of `length` samples: `global` and `local`, None where the
    model takes none."""
    rng = np.random.default_rng(0)

    def make(condition: ConditionConfig | None, leading: tuple[int, ...]) -> Any:
        if condition is None:
            return None
        if condition.kind == "labels":
            return rng.integers(0, condition.size, leading).astype(np.int32)
        values = rng.normal(0, 1, (*leading, condition.size))
        if condition.kind == "tags":
            return (values > 1).astype(np.int32)
        return values.astype(np.float32)

    local, frames = model.local_condition, 0
    if local is not None:
        frames = -(-length // local.hop_samples) + 2 * local.context_frames
    return {
        "global": make(model.global_condition, (batch,)),
        "local": make(local, (batch, frames)),
    }
