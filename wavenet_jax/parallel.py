"""Batches divided over the devices of this process, for sampling, scoring and recognition.

The items of a batch are independent, so that no device waits for another. (Training, whose
devices share their gradients, has its own `pmap`.)
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from wavenet_jax.config import WaveNetConfig
from wavenet_jax.errors import InputError
from wavenet_jax.state import ContextState, State

_BATCHES_SORTED = 8
"""Batches whose recordings are sorted by length together, so that a batch has similar lengths."""

REPLICATED = PartitionSpec()
"""The specification of an array that every device holds."""

BATCH = PartitionSpec("batch")
"""The specification of an array whose first dimension is the batch."""

BATCH_SECOND = PartitionSpec(None, "batch")
"""The specification of an array whose second dimension is the batch, as of rings and frames."""


def state_spec(config: WaveNetConfig) -> Any:
    """The specification of a `State`."""
    ring: Any = BATCH_SECOND
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
    """`function` of one device's share of a batch, made a function of the whole batch."""
    mesh = Mesh(np.array(devices), ("batch",))
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )


def local_devices(devices: list[jax.Device] | None) -> tuple[jax.Device, ...]:
    """The given devices, or for None all of this process.

    Raises:
      InputError: the list is empty.
    """
    if devices is not None and not devices:
        raise InputError("The list of devices is empty: give at least one, or None for all.")
    return tuple(jax.local_devices() if devices is None else devices)


def use_cpu_cores(batch: int) -> None:
    """Makes each core of a CPU a device of JAX, as many as a batch divides over: a replica of the
    training then has a core to itself.

    To be called before JAX is used. The devices of other kinds, and a number that
    `jax_num_cpu_devices` or XLA_FLAGS give, stay as they are.
    """
    is_given = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    given = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined]
    if given == -1 and not is_given:
        number = next(n for n in range(num_cores(), 0, -1) if batch % n == 0)
        jax.config.update("jax_num_cpu_devices", number)


def num_cores() -> int:
    """Cores that this process may use now."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_counts(**counts: int) -> None:
    """Refuses an argument that is no whole number of at least 1.

    Raises:
      InputError: names the argument.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise InputError(f"The {name} is {count!r}: give a whole number of at least 1.")


def padded_indices(batch: int, num_devices: int) -> np.ndarray:
    """Indices into a batch that divide over the devices; the last item is repeated."""
    return np.minimum(np.arange(-(-batch // num_devices) * num_devices), batch - 1)


def batches(
    recordings: Iterable[Mapping], batch_size: int, num_devices: int
) -> Iterator[tuple[list[Mapping], list[Mapping]]]:
    """Recordings of similar length side by side.

    Args:
      recordings: mappings with `samples` (int16 `[T]`).
      batch_size: recordings of a batch, at most: fewer if there are fewer recordings.
      num_devices: over which a batch is divided.

    Yields:
      The recordings of a batch, and the same padded: the last repeated, so that all batches
      have one size, a multiple of `num_devices`.
    """
    batch_size = len(padded_indices(batch_size, num_devices))
    remaining = iter(recordings)
    first = True
    while gathered := list(itertools.islice(remaining, _BATCHES_SORTED * batch_size)):
        if first:  # A single long recording is not scored as eight.
            batch_size = min(batch_size, len(padded_indices(len(gathered), num_devices)))
            first = False
        gathered.sort(key=lambda recording: len(recording["samples"]))
        for i in range(0, len(gathered), batch_size):
            batch = gathered[i : i + batch_size]
            yield batch, batch + [batch[-1]] * (batch_size - len(batch))
