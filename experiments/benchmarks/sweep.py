"""Generation speed over the batch and over the size of the model, with its rooflines."""

import dataclasses
import math
import sys
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure
from tqdm import tqdm

from experiments.benchmarks import generation, roofline
from experiments.common import plots
from wavenet_jax import WaveNetConfig, receptive_field, training
from wavenet_jax.training import TrainingConfig


def _layers(model: WaveNetConfig, number: int) -> WaveNetConfig:
    return dataclasses.replace(model, dilations=tuple(2 ** (i % 10) for i in range(number)))


def _channels(model: WaveNetConfig, number: int) -> WaveNetConfig:
    return dataclasses.replace(model, residual_channels=number, gate_channels=number)


def _receptive_field(model: WaveNetConfig, doublings: int) -> WaveNetConfig:
    number = len(model.dilations)
    return dataclasses.replace(model, dilations=tuple(2 ** (i % doublings) for i in range(number)))


RECEPTIVE_FIELD = "receptive field, samples"

AXES: dict[str, tuple[tuple[int, ...], Callable[[WaveNetConfig, int], WaveNetConfig]]] = {
    "layers": ((10, 20, 30, 40), _layers),
    "channels": ((16, 32, 64, 128), _channels),
    RECEPTIVE_FIELD: ((1, 4, 7, 10, 12), _receptive_field),
}
"""By the label of an axis, its values and how a value changes the model."""

BATCHES = (1, 2, 4, 8, 16, 32, 64)


def sweep(model: WaveNetConfig, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Measures speed over the batch, and at batch 1 over each of `AXES`.

    Returns:
      For each axis its points: `value`, `speeds` in samples a second by the name of the backend
      config, and `limits`, the rooflines of peak GEMM and of the float32 weights.
    """
    jobs = [("batch", batch, batch, model) for batch in BATCHES]
    for axis, (values, change) in AXES.items():
        for value in values:
            changed = change(model, value)
            shown = receptive_field(changed) if axis == RECEPTIVE_FIELD else value
            jobs.append((axis, shown, 1, changed))
    peak_rate, found = roofline.peak_gemm_rate(repeats), dict[str, list[dict[str, Any]]]()
    for axis, value, batch, changed in tqdm(jobs, unit="model", file=sys.stderr):
        params = training.init_state(changed, TrainingConfig(num_steps=1)).params
        configs = generation.backend_configs(changed)
        measured = generation.speeds(changed, params, batch, configs, repeats)
        num_weights = roofline.multiply_adds_per_sample(changed)
        point = {
            "value": value,
            "speeds": {each.name: speed for each, speed in measured.items()},
            "limits": {
                "limit: peak GEMM": peak_rate / num_weights,
                "limit: float32 weights read": batch
                / roofline.weights_read_s(num_weights, repeats),
            },
        }
        found.setdefault(axis, []).append(point)
    return found


def as_table(found: dict[str, list[dict[str, Any]]]) -> str:
    """The figures of `sweep` as a Markdown table."""
    first = next(iter(found.values()))[0]
    heads = ["samples/s against", *first["speeds"], *first["limits"]]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for axis, points in found.items():
        for point in points:
            values = [*point["speeds"].values(), *point["limits"].values()]
            cells = [f"{axis}: {point['value']:,}", *(f"{value:,.0f}" for value in values)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(found: dict[str, list[dict[str, Any]]]) -> Figure:
    """Draws the figures of `sweep`: axes for each, logarithmic, with limits as dashed lines."""
    columns = min(2, len(found))
    rows = math.ceil(len(found) / columns)
    drawn = plots.new_figure(5.2 * columns, 3.6 * rows)
    for i, (label, points) in enumerate(found.items()):
        axes = drawn.add_subplot(rows, columns, i + 1)
        x = [point["value"] for point in points]
        for k, name in enumerate(points[0]["speeds"]):
            y = [point["speeds"][name] for point in points]
            colour = plots.SERIES_COLOURS[k % len(plots.SERIES_COLOURS)]
            axes.plot(x, y, color=colour, marker="o", markersize=3.5, label=name)
        for k, name in enumerate(points[0]["limits"]):
            y = [point["limits"][name] for point in points]
            dashes = (0, (1 + 2 * (k % 2), 2))
            axes.plot(x, y, color=plots.INK, linewidth=1, linestyle=dashes, label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(x, [f"{value:,.0f}" for value in x])
        axes.minorticks_off()
        plots.tidy(axes)
        plots.grid_lines(axes)
        axes.set_xlabel(label, color=plots.INK)
        if i % columns == 0:
            axes.set_ylabel("samples per second", color=plots.INK)
        if not i:
            axes.legend(frameon=False, fontsize=8, labelcolor=plots.INK)
    return drawn
