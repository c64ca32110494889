"""Rows of a batch over the devices of this process, for sampling, scoring and recognition.

Rows know nothing of one another, so that no device waits for another. (Training,
whose devices share their gradients, has its `pmap` in `training`.)
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from wavenet_jax.wavenet import ContextState, State, WaveNetConfig

_SORTED_AT_A_TIME = 8
"""Batches gathered and sorted by length, so that a batch ends nearly together."""

REPLICATED = PartitionSpec()
"""The specification of what every device holds."""

BATCH = PartitionSpec("rows")
"""The specification of what is divided along its first dimension."""


def state_spec(config: WaveNetConfig) -> Any:
    """The specification of a `State`: rings have their rows second."""
    ring: Any = PartitionSpec(None, "rows")
    contexts: Any = tuple(
        ContextState(rings=(ring,) * len(stack.dilations), output=BATCH)  # type: ignore[arg-type]
        for stack in config.context_stacks
    )
    specification: dict[str, Any] = {
        "time": REPLICATED,
        "samples": BATCH,
        "rings": (ring,) * len(config.dilations),
        "recent": ring,
        "contexts": contexts,
    }
    return State(**specification)


def shard_over_batch(function, devices: tuple[jax.Device, ...], in_specs, out_specs):
    """`function` of one device's rows, made a function of all rows."""
    mesh = Mesh(np.array(devices), ("rows",))
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )


def padded_rows(batch: int, num_devices: int) -> np.ndarray:
    """Indices of rows such that every device has as many; the last row fills up."""
    return np.minimum(np.arange(-(-batch // num_devices) * num_devices), batch - 1)


def batches(
    recordings: Iterable[Mapping], batch_size: int, num_devices: int
) -> Iterator[tuple[list[Mapping], list[Mapping]]]:
    """Recordings of about one length side by side.

    Args:
      recordings: mappings with `samples` (int16 `[N]`); none without any.
      batch_size: rows of a batch, at most: fewer where there are fewer recordings.
      num_devices: that the rows are spread over.

    Yields:
      A batch's recordings, and its rows: the same, and the last again as often as it
      takes to have as many rows in every batch.
    """
    batch_size = len(padded_rows(batch_size, num_devices))
    remaining = iter(recordings)
    first = True
    while gathered := list(itertools.islice(remaining, _SORTED_AT_A_TIME * batch_size)):
        if first:  # A single long recording is not worth eight.
            batch_size = min(batch_size, len(padded_rows(len(gathered), num_devices)))
            first = False
        gathered.sort(key=lambda recording: len(recording["samples"]))
        for i in range(0, len(gathered), batch_size):
            batch = gathered[i : i + batch_size]
            yield batch, batch + [batch[-1]] * (batch_size - len(batch))
