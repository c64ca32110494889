"""The benchmark of one config: training, generation, recognition and latency."""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
from tqdm import tqdm

from experiments.benchmarks import generation, machine, roofline, synthetic, throughput
from experiments.configs.schema import ExperimentConfig
from wavenet_jax import RecognizerConfig, receptive_field, training
from wavenet_jax.training import TrainingConfig


def benchmark(
    config: ExperimentConfig, *, batches: Sequence[int], repeats: int = 5
) -> dict[str, Any]:
    """Measures a config.

    Args:
      config: of the experiment.
      batches: of generation and recognition.
      repeats: timed runs of each.

    Returns:
      `machine`; `model`; `rows`, as `roofline.compared` makes them; and `latency`, as
      `generation.latency` measures it, of each backend config.
    """
    model = synthetic.model_of(config)
    wavenet = training.wavenet_of(model)
    params = training.init_state(model, TrainingConfig(num_steps=1)).params
    peak_rate = roofline.peak_gemm_rate(repeats)
    jobs: list[Callable[[], Any]] = [
        functools.partial(throughput.training_figures, config, model, peak_rate, repeats)
    ]
    for batch in batches:
        rest = (params, batch, peak_rate, repeats)
        jobs.append(functools.partial(generation.generation_figures, wavenet, *rest))
        if isinstance(model, RecognizerConfig):
            job = functools.partial(throughput.recognition_figures, config, model, *rest)
            jobs.append(job)
    measured = [job() for job in tqdm(jobs, unit="measurement", file=sys.stderr)]
    return {
        "machine": machine.description(),
        "model": {
            "parameters": sum(x.size for x in jax.tree.leaves(params)),
            "multiply_adds_per_sample": roofline.multiply_adds_per_sample(wavenet),
            "receptive_field_samples": receptive_field(wavenet),
        },
        "peak_gemm_gmac_per_s": peak_rate / 1e9,
        "rows": [row for rows in measured for row in rows],
        "latency": [
            generation.latency(wavenet, params, each, config.sample_rate_hz, repeats)
            for each in generation.backend_configs(wavenet)
        ],
    }


def as_tables(figures: dict[str, Any]) -> str:
    """The figures as two Markdown tables."""
    rows = throughput.as_table(figures["rows"])
    return f"{rows}\n\n{generation.latency_table(figures['latency'])}"
