"""Models and random inputs in place of a corpus's."""

import dataclasses
from typing import Any

import numpy as np

from experiments.common.model import labels_of, model_config, needs_questions
from experiments.configs.schema import ExperimentConfig
from wavenet_jax import ConditionConfig
from wavenet_jax.student.flows import GeneratorConfig
from wavenet_jax.training import ModelConfig

NUM_CLASSES = 50
"""Classes of each label, and HTS questions; speed hardly depends on how many there are."""


def model_of(config: ExperimentConfig) -> ModelConfig:
    """The model of a config, with its conditions, for labels of `NUM_CLASSES` classes each."""
    unfolded = dataclasses.replace(config.recognizer, folding="none")
    classes = tuple(map(str, range(NUM_CLASSES)))
    questions = tuple(f'QS "C-{name}" {{*-{name}+*}}' for name in classes)
    return model_config(
        dataclasses.replace(config, recognizer=unfolded),
        dict.fromkeys(labels_of(config), classes),
        questions if needs_questions(config) else (),
    )


def conditions(model: GeneratorConfig, batch: int, length: int) -> dict[str, Any]:
    """Random conditions of recordings of `length` samples: `global` and `local`, None where the
    model takes none."""
    random = np.random.default_rng(0)

    def make(condition: ConditionConfig | None, leading: tuple[int, ...]) -> Any:
        if condition is None:
            return None
        if condition.kind == "labels":
            return random.integers(0, condition.size, leading).astype(np.int32)
        values = random.normal(0, 1, (*leading, condition.size))
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
