"""Cost of each option of the model and of the training, compared with the plain model."""

import dataclasses
import sys
from typing import Any

from tqdm import tqdm

from experiments.benchmarks import generation, machine, throughput
from experiments.configs.schema import ExperimentConfig
from wavenet_jax import (
    ConditionConfig,
    ContextStackConfig,
    LocalConditionConfig,
    training,
)
from wavenet_jax.training import TrainingConfig


def _local_condition(**fields: Any) -> dict[str, Any]:
    return {"local_condition": LocalConditionConfig("vectors", 80, hop_samples=256, **fields)}


def _bits16(**fields: Any) -> dict[str, Any]:
    return {"num_classes": 65536, "companding": "linear", "input": "scalar", **fields}


OPTIONS: dict[str, dict[str, Any]] = {
    "global condition, 100 classes": {"global_condition": ConditionConfig("labels", 100)},
    "mel, 80 bands each 256 samples, repeated": _local_condition(),
    "the same, linear": _local_condition(upsampling="linear"),
    "the same, transposed 16 x 16": _local_condition(upsampling="transposed", factors=(16, 16)),
    "context stack, 6 layers each 256 samples": {
        "context_stacks": (ContextStackConfig(256, (1, 2, 4, 8, 16, 32)),)
    },
    "the same, pooled": {
        "context_stacks": (ContextStackConfig(256, (1, 2, 4, 8, 16, 32), input="pooled"),)
    },
    "scalar input": {"input": "scalar"},
    "1,024 classes": {"num_classes": 1024},
    "16 bits, mixture of 10 logistics": _bits16(output="logistic_mixture"),
    "16 bits, mixture of 10 Gaussians": _bits16(output="gaussian_mixture"),
    "16 bits, Gaussian": _bits16(output="gaussian"),
    "bfloat16": {"dtype": "bfloat16"},
    "rematerialization": {"rematerialize": True},
    "dropout": {"dropout": 0.05},
    "input noise": {"input_noise": 0.01},
    "scheduled sampling": {"scheduled_sampling": 0.5},
    "weight normalization": {"weight_normalization": True},
}
"""By name, the fields of the model or of the training that differ from the plain ones."""


def options(config: ExperimentConfig, *, batch: int, repeats: int) -> dict[str, Any]:
    """Measures each option, and the plain model before and after them.

    Args:
      config: with the plain model, and the batch and the segment of a training step.
      batch: of the generation.
      repeats: timed runs of each.

    Returns:
      `machine`, `generation_batch` and `rows`, each with a `name`, `training` and `generation` in
      samples a second and `training_share` and `generation_share` of the plain model's mean,
      `training_bytes` of temporary memory a step, and `state_bytes` of generation.
    """
    oracle = generation.oracle()
    training_fields = {field.name for field in dataclasses.fields(TrainingConfig)}

    def measure(name: str, fields: dict[str, Any]) -> dict[str, Any]:
        of_training = {k: v for k, v in fields.items() if k in training_fields}
        of_model = {k: v for k, v in fields.items() if k not in training_fields}
        model = dataclasses.replace(config.model, **of_model)
        settings = dataclasses.replace(config.training, **of_training)
        state = training.init_state(model, settings)
        found = generation.speeds(model, state.ema_params, batch, [oracle], repeats)
        state_bytes = generation.state_bytes(model, state.ema_params, batch)
        speed, training_bytes = throughput.training_speed(config, model, settings, state, repeats)
        return {
            "name": name,
            "training": speed,
            "training_bytes": training_bytes,
            "generation": found[oracle],
            "state_bytes": state_bytes,
        }

    jobs = [("plain", {}), *OPTIONS.items(), ("plain, again", {})]
    rows = [measure(*job) for job in tqdm(jobs, unit="option", file=sys.stderr)]
    for kind in ("training", "generation"):
        plain_speed = (rows[0][kind] + rows[-1][kind]) / 2
        for row in rows:
            row[f"{kind}_share"] = row[kind] / plain_speed
    return {"machine": machine.description(), "generation_batch": batch, "rows": rows}


def as_table(figures: dict[str, Any]) -> str:
    """The figures of `options` as a Markdown table."""
    lines = [
        "| option | training, samples/s | memory of a step, MB "
        f"| generation, batch {figures['generation_batch']}, samples/s | its state, MB |",
        "|---|---|---|---|---|",
    ]
    for row in figures["rows"]:
        lines.append(
            f"| {row['name']} | {row['training']:,.0f} ({row['training_share']:.0%}) "
            f"| {row['training_bytes'] / 1e6:,.0f} "
            f"| {row['generation']:,.0f} ({row['generation_share']:.0%}) "
            f"| {row['state_bytes'] / 1e6:.1f} |"
        )
    return "\n".join(lines)
