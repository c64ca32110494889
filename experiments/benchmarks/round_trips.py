"""What it costs that several devices, and several processes, train together."""

import functools
import time
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import machine, synthetic
from experiments.common import processes
from experiments.configs.schema import ExperimentConfig
from wavenet_jax import training

SIZES = (1, 10**6, 10**7)
"""Numbers of float32 that are averaged over all devices."""

CALLS = 20


def round_trips(config: ExperimentConfig, *, repeats: int) -> dict[str, Any]:
    """Measures what processes and devices wait for, in all processes of the program.

    Args:
      config: whose gradients are averaged too.
      repeats: timed runs of each; the median counts.

    Returns:
      `machine`; `processes`, `devices` (of all) and `parameters`; `call_ms`, of a pmapped function
      that does nothing; `average_ms`, of a mean of as many float32 as the key says over all
      devices; `gather_ms`, of a value from each process to all (`processes.gather`); and
      `gradients_ms`, of the mean of the config's gradients.
    """
    state = training.init_state(synthetic.model_of(config), config.training)
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    batch = np.zeros(jax.local_device_count(), np.float32)
    pmap = functools.partial(jax.pmap, axis_name="devices", in_axes=(None, 0), out_axes=None)
    call = pmap(lambda x, batch: x + 1)
    average = pmap(lambda x, batch: jax.lax.pmean(x + batch, "devices"))

    def of(function: Any, size: int) -> float:
        x: Any = np.zeros(size, np.float32)
        x = training.replicate(x)
        return _median_ms(lambda: jax.block_until_ready(function(x, batch)), repeats)

    return {
        "machine": machine.description(),
        "processes": jax.process_count(),
        "devices": jax.device_count(),
        "parameters": parameters,
        "call_ms": of(call, 1),
        "average_ms": {str(size): of(average, size) for size in SIZES},
        "gather_ms": _median_ms(lambda: processes.gather(0), repeats),
        "gradients_ms": of(average, parameters),
    }


def _median_ms(run: Any, repeats: int) -> float:
    run()
    taken_s = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        for _ in range(CALLS):
            run()
        taken_s.append((time.perf_counter() - begun_s) / CALLS)
    return 1000 * float(np.median(taken_s))


def as_table(figures: dict[str, Any]) -> str:
    """One row of Markdown below its head."""
    columns = {
        "processes": str(figures["processes"]),
        "devices": str(figures["devices"]),
        "a call, ms": f"{figures['call_ms']:.2f}",
        **{f"mean of {int(size):,}, ms": f"{x:.2f}" for size, x in figures["average_ms"].items()},
        f"mean of {figures['parameters']:,} gradients, ms": f"{figures['gradients_ms']:.2f}",
        "gather, ms": f"{figures['gather_ms']:.2f}",
    }
    rows = (columns, dict.fromkeys(columns, "---").values(), columns.values())
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
