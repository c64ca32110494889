"""Several processes of one program: JAX's distributed runtime, and each process's share.

Each process is started with the same command, on a host of its own or several on one. What they
need to find one another is detected on Cloud TPU, under Slurm and under Open MPI; elsewhere it is
given.
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from data.audio import compiled
from wavenet_jax import InputError

T = TypeVar("T")

HEARTBEAT_S = 60
"""After so many seconds without a sign of life of one process all others end."""

_OF_OPERATIONS = re.compile("gloo|nccl|barrier|heartbeat|coordinat", re.IGNORECASE)
"""In the message of any error, where an operation failed that all processes take part in."""

_OF_PEERS = re.compile(
    f"{_OF_OPERATIONS.pattern}|peer|connect|socket|deadline|unavailable|timed out", re.IGNORECASE
)
"""In the message of an error of JAX's, where an operation failed for another process."""


def join(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins the other processes of this program, before JAX is used.

    Args:
      coordinator: HOST:PORT of process 0.
      num_processes: how many there are.
      process_id: which of them this is, from 0. All three are given, or none: then JAX
        detects them.

    Raises:
      InputError: they do not describe the processes, and nothing is detected; or the others do
        not come.
    """
    given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise InputError(
            f"--multihost lacks {', '.join(missing)}: give all three, or none to detect them."
        )
    if process_id is not None and num_processes is not None and process_id >= num_processes:
        raise InputError(
            f"--process_id is {process_id}, of {num_processes} processes: number them from 0 to "
            f"{num_processes - 1}."
        )
    if coordinator is not None and not re.fullmatch(r".+:\d+", coordinator):
        raise InputError(f"--coordinator is {coordinator!r}: give HOST:PORT.")
    try:
        jax.distributed.initialize(
            coordinator_address=coordinator,
            num_processes=num_processes,
            process_id=process_id,
            heartbeat_timeout_seconds=HEARTBEAT_S,
        )
    except ValueError as error:
        raise InputError(
            f"The processes of --multihost were not detected ({error}): give --coordinator, "
            "--num_processes and --process_id."
        ) from error
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"The processes did not find one another ({reason}).") from error
    # Where process 0 is gone JAX aborts the others, in a thread that Python knows nothing of.
    ctypes.CDLL(None).signal(signal.SIGABRT, _on_abort)
    _load_compiled()


def _load_compiled() -> None:
    """Process 0 first, since the others may have their environment in the same folder."""
    with ending_together(_nothing_kept):
        if is_first():
            compiled.load()
        multihost_utils.sync_global_devices("compiled")
    compiled.load()


def is_first() -> bool:
    """Whether this process is alone, or the one that writes what is written once."""
    return jax.process_index() == 0


def share(items: Sequence[T]) -> Sequence[T]:
    """The items of this process: every N-th, of N processes."""
    return items[jax.process_index() :: jax.process_count()]


def gather(value: Any) -> list[Any]:
    """The values of all processes, fit for JSON, in the order of the processes."""
    if jax.process_count() == 1:
        return [value]
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    longest = int(np.max(multihost_utils.process_allgather(np.array(len(text)))))
    padded = np.pad(text, (0, longest - len(text)), constant_values=ord(" "))
    return [json.loads(bytes(each)) for each in multihost_utils.process_allgather(padded)]


@contextlib.contextmanager
def ending_together(kept: Callable[[], str]) -> Iterator[None]:
    """Within the context, a process that is gone ends this one at once, with one sentence.

    Nothing waits for the other one any more, as closing JAX's runtime would.

    Args:
      kept: gives what of the work is kept, a clause.
    """
    global _kept
    _kept = kept
    try:
        yield
    except Exception as error:
        lost = _lost(error)
        if jax.process_count() > 1 and lost is not None:
            _end(lost)
        raise  # and `kept` stays, since what is closed now may wait for another process
    _kept = _nothing_kept


def _lost(error: BaseException) -> BaseException | None:
    """The error, of those that led to this one, that is of another process. A checkpoint, which
    all processes write together, fails for one that is gone as a step does. Our own errors only
    quote it, beside names that a person chose."""
    cause: BaseException | None = error
    while cause is not None:
        is_of_jax = isinstance(cause, jax.errors.JaxRuntimeError)
        pattern = _OF_PEERS if is_of_jax else _OF_OPERATIONS
        if not isinstance(cause, InputError) and pattern.search(str(cause)):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


LESS_MEMORY = (
    "raise --config.training.num_microbatches, lower --config.batch_size or "
    "--config.segment_samples, or set --config.model.rematerialize=True"
)
"""The remedies of a step that does not fit."""


@contextlib.contextmanager
def naming_lack_of_memory() -> Iterator[None]:
    """Turns JAX's error of memory that the devices lack into one sentence with the remedy.

    Raises:
      InputError: the devices do not have as much memory as a step needs.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).strip().splitlines()[0][:200].rstrip(".")
        raise InputError(f"A step does not fit into memory ({reason}): {LESS_MEMORY}.") from error


def _nothing_kept() -> str:
    return "nothing was begun"


_kept = _nothing_kept


def _end(error: object) -> NoReturn:
    """Ends this process for an error of an operation that all of them take part in."""
    reason = str(error).strip().splitlines()[0][:200]
    print(
        f"error: Process {jax.process_index()} of {jax.process_count()} cannot go on, since "
        f"another one ended or cannot be reached ({reason}): {_kept()}; see what the other one "
        "printed, and start all of them again with the same command.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _on_abort(number: int) -> None:
    del number
    _end("JAX's runtime ended it, see above")


def end(code: int) -> NoReturn:
    """Ends the program; where there are several processes without waiting for the others, which
    may wait for this one."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
