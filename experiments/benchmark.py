"""Training and generation throughput on this machine, beside what limits them.

    python -m experiments.benchmark [--config=FILE] [--json=FILE]
    python -m experiments.benchmark --options --batches=8 [--config=FILE] [--json=FILE]
    python -m experiments.benchmark --sweep --out=FOLDER [--config=FILE] [--json=FILE]

Measures the reference model (experiments/configs/reference.py) unless told otherwise; of a
recognizer (experiments/configs/timit.py) also how fast it recognises. `--sweep` measures how fast
models like it generate, of one dimension after the other, and draws the curves.

A figure on a shared machine drifts, a ratio less: each limit is measured in the
same run, next to the figure it limits.

* model GEMM: the model's matrix products alone, in their shapes, one after the
  other as the model needs them; for training the two of the backward pass as well.
* peak GEMM: the same multiply-adds at the rate of one 1024 x 1024 x 1024 product.
* weights read: one core reads every weight once, of as many bits as it has, as fast as
  numpy can (its maximum, which is vectorised where the sum of floats is not). No step on
  one core that needs all its weights can be faster.
"""

import copy
import dataclasses
import functools
import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import flags
from tqdm import tqdm

from experiments.benchmarks import generation, roofline
from experiments.common import cli, plots
from experiments.common.run import labels_of, model_config
from experiments.configs import reference
from wavenet_jax import training
from wavenet_jax.config import (
    ConditionConfig,
    ContextStackConfig,
    LocalConditionConfig,
    WaveNetConfig,
    from_dict,
    receptive_field,
)
from wavenet_jax.recognition import posteriors
from wavenet_jax.training import TrainingConfig

FLAGS = flags.FLAGS
flags.declare_key_flag("json")
flags.declare_key_flag("config")
_BATCHES = flags.DEFINE_list("batches", ["1", "8", "32"], "Batch sizes to generate at.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs of each; the median counts.")

_OPTIONS = flags.DEFINE_bool(
    "options", False, "Measure instead what each option of the model costs beside the plain one."
)

_SWEEP = flags.DEFINE_bool(
    "sweep", False, "Measure instead models of other sizes, and draw the curves in --out."
)
flags.declare_key_flag("out")

UNKNOWN_CLASSES = 50
"""Classes that a label is taken to have where no corpus is there to tell."""

RECOGNIZED_S = 10


def training_speed(
    config: ml_collections.ConfigDict,
    model: WaveNetConfig,
    settings: TrainingConfig,
    state: training.TrainState,
    repeats: int,
) -> tuple[float, int]:
    """Scored samples a second of whole steps, with context and optimiser; and the bytes
    of temporary memory that a step takes on each device. The state is given up."""
    state = training.replicate(state)
    batch, segment = config.batch_size, config.segment_samples
    ahead = right_context_samples(model)
    unit = model.recognizer.hop_samples if model.recognizer else 1
    length = -(-(receptive_field(model) + ahead) // unit) * unit + segment + ahead
    rng = np.random.default_rng(0)
    windows = {
        "samples": rng.normal(0, 3000, (batch, length)).astype(np.int16),
        "mask": np.ones((batch, segment), bool),
    }
    if model.recognizer is not None:
        frames = segment // model.recognizer.hop_samples
        windows["frames"] = np.ones((batch, frames + 2 * model.recognizer.context_frames), bool)
        classes = rng.integers(0, model.recognizer.num_classes, (batch, frames))
        windows["classes"] = classes.astype(np.int32)
    conditions = generation.random_conditions(model, batch, length)
    windows |= {name: value for name, value in conditions.items() if value is not None}
    batches = training.split_over_devices(windows, jax.local_device_count())
    step = training.make_parallel_step(model, settings).lower(state, batches).compile()
    held = [state]

    def run():
        held[0], metrics = step(held[0], batches)
        return metrics

    seconds = roofline.median_s(run, repeats)
    return batch * segment / seconds, step.memory_analysis().temp_size_in_bytes


def training_row(
    config: ml_collections.ConfigDict, model: WaveNetConfig, rate: float, repeats: int
) -> dict[str, Any]:
    """Training beside its products; those of conditions and context stacks not counted."""
    settings = TrainingConfig(num_steps=1000, **config.training.to_dict())
    state = training.init_state(model, settings)
    speed, _ = training_speed(config, model, settings, state, repeats)
    batch, segment = config.batch_size, config.segment_samples
    past = np.cumsum([(model.kernel_size - 1) * d for d in model.dilations])
    heard = segment + 2 * right_context_samples(model)
    lengths = heard + past[-1] - past
    shapes = roofline.products(model, lambda i: batch * int(lengths[i]), batch * heard)
    return roofline.row(
        f"training, {batch} x {segment}",
        speed,
        {
            "model GEMM": batch * segment / roofline.products_s(shapes, repeats, backward=True),
            "peak GEMM": batch * segment * rate / (3 * roofline.multiply_adds(shapes)),
        },
    )


def right_context_samples(model: WaveNetConfig) -> int:
    """What a recognizer hears on either side of what it classifies."""
    return model.recognizer.context_frames * model.recognizer.hop_samples if model.recognizer else 0


def recognition_rows(
    config: ml_collections.ConfigDict,
    model: WaveNetConfig,
    params: Any,
    batch: int,
    rate: float,
    repeats: int,
) -> list[dict[str, Any]]:
    """Recognition of ten seconds in each row, from samples to posteriors, beside the
    products of its layers; those of the classifier, at the rate of frames, not counted."""
    rng, length = np.random.default_rng(0), RECOGNIZED_S * config.sample_rate_hz
    recordings = [
        {"recording": i, "samples": rng.normal(0, 3000, length).astype(np.int16)}
        for i in range(batch)
    ]
    seconds = roofline.median_s(
        lambda: [
            each.log_probs
            for each in posteriors.posteriors(model, params, recordings, batch_size=batch)
        ],
        repeats,
    )
    heard = batch * posteriors.CHUNK_SAMPLES
    *shapes, _, _ = roofline.products(model, lambda _: heard, heard)
    found = {
        "model GEMM": heard / roofline.products_s(shapes, repeats, backward=False),
        "peak GEMM": heard * rate / roofline.multiply_adds(shapes),
    }
    speed = batch * length / seconds
    row = roofline.row(f"recognition, batch {batch}", speed, found)
    return [row | {"times_real_time": speed / config.sample_rate_hz}]


def model_of(config: ml_collections.ConfigDict) -> WaveNetConfig:
    """The model of a config file, with the conditions that it asks for.

    How many classes a label has, a corpus knows; here they are taken to be
    `UNKNOWN_CLASSES`, on which speed hardly depends.
    """
    classes = [str(i) for i in range(UNKNOWN_CLASSES)]
    if config.get("recognizer"):
        config = copy.deepcopy(config)
        config.recognizer.folding = "none"
    return model_config(config, dict.fromkeys(labels_of(config), classes))


def _local_option(**fields: Any) -> dict[str, Any]:
    return {"local_condition": LocalConditionConfig("vectors", 80, hop_samples=256, **fields)}


OPTIONS: dict[str, dict[str, Any]] = {
    "global condition, 100 classes": {"global_condition": ConditionConfig("labels", 100)},
    "mel, 80 bands each 256 samples, repeated": _local_option(),
    "the same, linear": _local_option(upsampling="linear"),
    "the same, transposed 16 x 16": _local_option(upsampling="transposed", factors=(16, 16)),
    "context stack, 6 layers each 256 samples": {
        "context_stacks": (ContextStackConfig(256, (1, 2, 4, 8, 16, 32)),)
    },
    "the same, pooled": {
        "context_stacks": (ContextStackConfig(256, (1, 2, 4, 8, 16, 32), input="pooled"),)
    },
    "scalar input": {"input": "scalar"},
    "1,024 classes": {"num_classes": 1024},
    "16 bits, mixture of 10 logistics": {
        "num_classes": 65536,
        "companding": "linear",
        "input": "scalar",
        "output": "logistic_mixture",
    },
    "16 bits, mixture of 10 Gaussians": {
        "num_classes": 65536,
        "companding": "linear",
        "input": "scalar",
        "output": "gaussian_mixture",
    },
    "16 bits, Gaussian": {
        "num_classes": 65536,
        "companding": "linear",
        "input": "scalar",
        "output": "gaussian",
    },
    "bfloat16": {"dtype": "bfloat16"},
    "rematerialization": {"rematerialize": True},
    "dropout": {"dropout": 0.05},
    "input noise": {"input_noise": 0.01},
    "weight normalization": {"weight_normalization": True},
}
"""By name, the fields of the model or of the training that differ from the plain ones."""


def options(config: ml_collections.ConfigDict, *, batch: int, repeats: int) -> dict[str, Any]:
    """What each option costs beside the plain model, which is measured first and last.

    Returns:
      `machine`, and `rows`: each a name, training and generation in samples a second
      (`training`, `generation`) and as shares of the plain model's mean (`.._share`),
      `training_bytes` of temporary memory a step and `state_bytes` of generation.
    """
    plain = from_dict(WaveNetConfig, config.model.to_dict(), "model")
    training_fields = {field.name for field in dataclasses.fields(TrainingConfig)}

    def measure(name: str, fields: dict[str, Any]) -> dict[str, Any]:
        of_training = {k: v for k, v in fields.items() if k in training_fields}
        of_model = {k: v for k, v in fields.items() if k not in training_fields}
        model = dataclasses.replace(plain, **of_model)
        settings = TrainingConfig(num_steps=1000, **config.training.to_dict() | of_training)
        state = training.init_state(model, settings)
        scan = generation.BackendConfig("scan", "float32")
        found = generation.speeds(model, state.ema_params, batch, [scan], repeats)
        speed, training_bytes = training_speed(config, model, settings, state, repeats)
        return {
            "name": name,
            "training": speed,
            "training_bytes": training_bytes,
            "generation": found[scan],
            "state_bytes": generation.state_bytes(model, batch),
        }

    jobs = [("plain", {}), *OPTIONS.items(), ("plain, again", {})]
    rows = [measure(*job) for job in tqdm(jobs, unit="option", file=sys.stderr)]
    for kind in ("training", "generation"):
        plain_speed = (rows[0][kind] + rows[-1][kind]) / 2
        for row in rows:
            row[f"{kind}_share"] = row[kind] / plain_speed
    return {"machine": _machine(), "generation_batch": batch, "rows": rows}


def as_options_table(figures: dict[str, Any]) -> str:
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


def benchmark(
    config: ml_collections.ConfigDict, *, batches: Sequence[int], repeats: int = 5
) -> dict[str, Any]:
    """Measures one config.

    Returns:
      `machine`, `model` and `rows`: each a name, `samples_per_s`, and by the name
      of a limit `limits` (samples a second) and `share` (the figure over the limit); and
      `latency`, as `generation.latency` measures it, of each way to generate.
    """
    model = model_of(config)
    settings = TrainingConfig(num_steps=1)
    params = training.init_state(model, settings).params
    rate = roofline.large_product_rate(repeats)
    jobs = [lambda: [training_row(config, model, rate, repeats)]]
    for batch in batches:
        arguments = (model, params, batch, rate, repeats)
        jobs.append(functools.partial(generation.rows, *arguments))
        if model.recognizer is not None:
            jobs.append(functools.partial(recognition_rows, config, *arguments))
    made = [job() for job in tqdm(jobs, unit="measurement", file=sys.stderr)]
    return {
        "machine": _machine(),
        "model": {
            "parameters": sum(x.size for x in jax.tree.leaves(params)),
            "multiply_adds_per_sample": roofline.multiply_adds(
                roofline.products(model, lambda _: 1, 1)
            ),
            "receptive_field_samples": receptive_field(model),
        },
        "large_product_gmac_per_s": rate / 1e9,
        "rows": [row for rows in made for row in rows],
        "latency": [
            generation.latency(model, params, way, config.sample_rate_hz, repeats)
            for way in generation.ways(model)
        ],
    }


def as_table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    names = ["weights read", "model GEMM", "peak GEMM"]
    lines = [
        "| samples/s | measured | " + " | ".join(f"limit: {n}" for n in names) + " |",
        "|---|---" + "|---" * len(names) + "|",
    ]
    for row in figures["rows"]:
        cells = [
            f"{row['limits'][n]:,.0f} ({row['share'][n]:.0%})" if n in row["limits"] else ""
            for n in names
        ]
        name = row["name"]
        if "times_real_time" in row:
            name += f" ({row['times_real_time']:.0f} times real time)"
        lines.append(f"| {name} | {row['samples_per_s']:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def as_latency_table(figures: dict[str, Any]) -> str:
    """The latency as a Markdown table."""
    lines = [
        "| live, one stream | first chunk, ms | each chunk after it, ms | sounds, ms |",
        "|---|---|---|---|",
    ]
    for row in figures["latency"]:
        times = " | ".join(f"{row[name]:.1f}" for name in ("first_ms", "chunk_ms", "sounds_ms"))
        lines.append(f"| {row['name']} | {times} |")
    return "\n".join(lines)


def _machine() -> dict[str, Any]:
    return {
        "platform": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def main(argv: Sequence[str]) -> None:
    del argv
    batches = cli.positive_integers("batches", _BATCHES.value)
    (repeats,) = cli.positive_integers("repeats", [_REPEATS.value])
    config = cli.CONFIG.value or reference.get_config()
    if _OPTIONS.value:
        figures = options(config, batch=batches[0], repeats=repeats)
        print(as_options_table(figures))
    elif _SWEEP.value:
        cli.require(out=FLAGS.out)
        folder = cli.require_writable(FLAGS.out)
        found = generation.sweep(model_of(config), repeats)
        figures = {"machine": _machine(), "sweep": found}
        plots.save(generation.sweep_figure(found), folder / "sweep.png", dpi=100)
        print(generation.as_sweep_table(found))
    else:
        figures = benchmark(config, batches=batches, repeats=repeats)
        print(as_table(figures), as_latency_table(figures), sep="\n\n")
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main)
