"""Work spread over processes, with the results in order.

BLAS gets one thread, with one process and with several: small matrices are faster so, and their
sums do not depend on the number of cores.
"""

import collections
import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

import threadpoolctl

from data.audio import compiled
from data.errors import DataError

IN_FLIGHT = 2  # items a process, so that none waits for the next
_A = TypeVar("_A")
_B = TypeVar("_B")


class Map(Protocol):
    """`map` of one iterable."""

    def __call__(self, function: Callable[[_A], _B], items: Iterable[_A], /) -> Iterator[_B]: ...


def in_turn(function: Callable[[_A], _B], items: Iterable[_A], /) -> Iterator[_B]:
    """`map` of one iterable, in this process."""
    return map(function, items)


@contextlib.contextmanager
def ordered_map(num_workers: int) -> Iterator[Map]:
    """`map` over `num_workers` processes, which begin with the first item and end with the context.

    Functions, items and results are pickled. An error is raised in its turn, and of the items no
    more than `IN_FLIGHT` a process are taken before their results are.

    Raises:
      DataError: a process ended before its work did.
    """
    with threadpoolctl.threadpool_limits(1):
        if num_workers == 1:
            yield in_turn
            return
        compiled.load()
        pool = concurrent.futures.ProcessPoolExecutor(
            num_workers, multiprocessing.get_context("spawn"), initializer=_begin_worker
        )
        try:
            yield functools.partial(_in_order, pool, num_workers)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(
    pool: concurrent.futures.Executor,
    num_workers: int,
    function: Callable[[_A], _B],
    items: Iterable[_A],
    /,
) -> Iterator[_B]:
    pending: collections.deque[concurrent.futures.Future[_B]] = collections.deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == IN_FLIGHT * num_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            f"one of {num_workers} processes that read recordings ended, killed or out of memory: "
            "use fewer --num_workers"
        ) from None
    finally:
        for future in pending:
            future.cancel()


def _begin_worker() -> None:
    # Ctrl-C reaches all processes of a terminal, and the first of them ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpoolctl.threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process with the one that started it, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
