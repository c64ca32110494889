"""Speed of a parallel student beside its teacher's, and how it grows with parallel hardware.

A teacher makes a sample after the other: a batch of B takes at least T times the latency of its
layers, whatever the hardware. A student computes each layer of its flows once for all samples of a
chunk, so that B T samples take

    seconds = overhead + B T / rate

The overhead is that of starting its layers, one after the other; the rate is what the hardware
reaches in their products. Both are fitted here to chunks of several lengths: hardware of k times
the rate makes k times as many samples, once B T is far above overhead times rate.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import generation, machine, roofline, synthetic
from experiments.benchmarks.generation import BackendConfig
from experiments.configs.schema import ExperimentConfig
from wavenet_jax import InputError, training
from wavenet_jax.loading import CHUNK_SAMPLES
from wavenet_jax.sampling.generate import STUDENT_SAMPLES
from wavenet_jax.student.flows import StudentConfig

FLOW = BackendConfig("flow", "float32")
CURVE = (40, 400, 1600, 4000)
"""Samples of the chunks that the overhead and the rate are fitted to, of one stream."""


def student_figures(
    config: ExperimentConfig, *, batches: Sequence[int], repeats: int = 5
) -> dict[str, Any]:
    """Measures a student and its teacher in turn, without the numbers that they draw from.

    Args:
      config: of the student's experiment.
      batches: utterances at once.
      repeats: timed rounds; the median counts.

    Returns:
      `machine`; `multiply_adds_per_sample` of both; `rows`, for each batch the samples a second of
      each backend of the `teacher`, of the `student`, and their `ratio` for the fastest; `curve`,
      seconds of chunks of one stream; `overhead_s` and `rate`, samples a second, of their fit.

    Raises:
      InputError: the config is not one of a student.
    """
    model = synthetic.model_of(config)
    if not isinstance(model, StudentConfig):
        raise InputError(
            f"--config.task is {config.task!r}: --student measures a recipe of a student, such as "
            "experiments/configs/student.py."
        )
    teacher, key = model.teacher, jax.random.key(0)
    params = training.init_variables(model, key)
    of_teacher = training.init_variables(teacher, key)
    rows = []
    for batch in batches:
        steps = generation.steps_of(teacher, batch)
        devices = jax.local_devices()
        runs = {
            each.name: generation.prepared_run(teacher, of_teacher, batch, steps, each)
            for each in generation.backend_configs(teacher)
        }
        names, lengths = list(runs), dict.fromkeys(runs, steps)
        lengths["student"] = chunk = _chunk(model, batch)
        runs["student"] = generation.prepared_run(model, params, batch, chunk, FLOW, devices)
        seconds = _in_turn(runs, repeats)
        speeds = {name: batch * lengths[name] / seconds[name] for name in runs}
        fastest = max(names, key=speeds.__getitem__)
        rows.append(
            {
                "batch": batch,
                "teacher": {name: speeds[name] for name in names},
                "student": speeds["student"],
                "fastest": fastest,
                "ratio": speeds["student"] / speeds[fastest],
            }
        )
    hop = model.hop_samples
    lengths_s = {}
    chunks = sorted({-(-length // hop) * hop for length in CURVE})
    for length in chunks:
        run = generation.prepared_run(model, params, 1, length, FLOW)
        lengths_s[length] = _in_turn({"student": run}, repeats)["student"]
    slope, overhead_s = np.polyfit(chunks, [lengths_s[length] for length in chunks], 1)
    flow = roofline.multiply_adds_per_sample(model.flow)
    return {
        "machine": machine.description(),
        "multiply_adds_per_sample": {
            "teacher": roofline.multiply_adds_per_sample(teacher),
            "student": model.num_flows * flow,
        },
        "rows": rows,
        "curve": [{"samples": n, "seconds": s} for n, s in lengths_s.items()],
        "overhead_s": float(overhead_s),
        "rate": float(1 / slope),
    }


def _chunk(model: StudentConfig, batch: int) -> int:
    """As long as `generate` makes the chunks of a batch."""
    samples = min(CHUNK_SAMPLES, STUDENT_SAMPLES // batch)
    return -(-samples // model.hop_samples) * model.hop_samples


def _in_turn(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each, in rounds of all, of which the first compiles."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(repeats + 1):
        for name, run in runs.items():
            begun_s = time.perf_counter()
            run()
            if round_:
                seconds[name].append(time.perf_counter() - begun_s)
    return {name: statistics.median(each) for name, each in seconds.items()}


def as_table(figures: dict[str, Any]) -> str:
    """The figures as two Markdown tables and a sentence."""
    names = list(figures["rows"][0]["teacher"])
    head = ["batch", *(f"teacher, {name}" for name in names), "student", "ratio to the fastest"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in figures["rows"]:
        speeds = [f"{row['teacher'][name]:,.0f}" for name in names]
        cells = [str(row["batch"]), *speeds, f"{row['student']:,.0f}", f"{row['ratio']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| student, one stream: samples of a chunk | ms | samples/s |", "|---|---|---|"]
    for row in figures["curve"]:
        speed = row["samples"] / row["seconds"]
        lines.append(f"| {row['samples']:,} | {1000 * row['seconds']:.2f} | {speed:,.0f} |")
    adds = figures["multiply_adds_per_sample"]
    lines += [
        "",
        f"Multiply-adds of a sample: teacher {adds['teacher']:,}, student {adds['student']:,}. "
        f"A chunk takes {1000 * figures['overhead_s']:.2f} ms and a second for each "
        f"{figures['rate']:,.0f} samples.",
    ]
    return "\n".join(lines)
