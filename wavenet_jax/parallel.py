"""Rows of a batch over the devices of this process, for sampling and scoring.

Rows know nothing of one another, so that no device waits for another. (Training,
whose devices share their gradients, has its `pmap` in `training`.)
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from wavenet_jax.wavenet import ContextState, State, WaveNetConfig

WHOLE = PartitionSpec()
"""The specification of what every device holds."""

ROWS = PartitionSpec("rows")
"""The specification of what is divided along its first dimension."""


def state_spec(config: WaveNetConfig) -> Any:
    """The specification of a `State`: rings have their rows second."""
    ring: Any = PartitionSpec(None, "rows")
    contexts: Any = tuple(
        ContextState(rings=(ring,) * len(stack.dilations), output=ROWS)  # type: ignore[arg-type]
        for stack in config.context_stacks
    )
    specification: dict[str, Any] = {
        "time": WHOLE,
        "samples": ROWS,
        "rings": (ring,) * len(config.dilations),
        "recent": ring,
        "contexts": contexts,
    }
    return State(**specification)


def over_rows(function, devices: tuple[jax.Device, ...], in_specs, out_specs):
    """`function` of one device's rows, made a function of all rows."""
    mesh = Mesh(np.array(devices), ("rows",))
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )


def padded_rows(batch: int, num_devices: int) -> np.ndarray:
    """Indices of rows such that every device has as many; the last row fills up."""
    return np.minimum(np.arange(-(-batch // num_devices) * num_devices), batch - 1)
