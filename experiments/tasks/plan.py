"""What a training is, before its first step."""

from collections.abc import Mapping
from typing import Any

import jax

import data
from experiments.configs.schema import ExperimentConfig
from wavenet_jax import training


def of_model(
    config: ExperimentConfig, receptive_field: int, state: training.TrainState
) -> dict[str, Any]:
    """`parameters`, and `receptive_field_ms` of a field in samples."""
    return {
        "parameters": sum(x.size for x in jax.tree.leaves(state.params)),
        "receptive_field_ms": 1000 * receptive_field / config.sample_rate_hz,
    }


def of_corpus(config: ExperimentConfig, corpus: data.Corpus) -> dict[str, Any]:
    """`recordings` and `hours_of_sound` of a corpus, and `epochs`, how often each sample is
    scored."""
    samples = int(corpus.lengths.sum())
    scored = config.training.num_steps * config.batch_size * config.segment_samples
    return {
        "recordings": len(corpus),
        "hours_of_sound": samples / corpus.sample_rate_hz / 3600,
        "epochs": scored / samples,
    }


def as_line(plan: Mapping[str, Any]) -> str:
    """The figures of `of_model`, and of `of_corpus` where they are given."""
    model = (
        f"{plan['parameters']:,} parameters, a receptive field of "
        f"{plan['receptive_field_ms']:.0f} ms"
    )
    if "epochs" not in plan:
        return model
    return (
        f"{model}; {plan['recordings']:,} recordings of {plan['hours_of_sound']:.2f} h in all, "
        f"{plan['epochs']:.1f} times"
    )
