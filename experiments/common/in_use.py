"""One program at a time writes to a folder, also where several hosts share it.

A marker in the folder names the process that uses it, which refreshes the marker. The marker of a
process that is gone does not hold the folder: one of this host is looked up, and one of another
host is watched for `LEASE_S`.
"""

import contextlib
import json
import os
import pathlib
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, NoReturn

import filelock

from wavenet_jax import InputError, folders

MARKER = "in_use.lock"
LEASE_S = 60
"""A process of another host whose marker was not refreshed for so long is taken for dead."""


@contextlib.contextmanager
def held(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Marks a folder, which exists or is in a bucket, as in use by this process, in the context.

    Should another process take the folder meanwhile, since this one was suspended for longer than
    `LEASE_S`, this one ends at once.

    Raises:
      InputError: another process uses it.
    """
    holding = _held_in_bucket if folders.is_bucket(folder) else _held_on_disk
    with holding(folder):
        yield


@contextlib.contextmanager
def _held_on_disk(folder: str | os.PathLike[str]) -> Iterator[None]:
    lease = filelock.SoftFileLease(
        pathlib.Path(folder) / MARKER,
        lease_duration=LEASE_S,
        on_compromise=lambda compromise: _end(folder),
    )
    with contextlib.suppress(filelock.Timeout):
        lease.acquire(timeout=0)
    owner = lease.owner
    if not lease.is_locked and owner is not None and owner.hostname != socket.gethostname():
        _say_waiting(folder, owner.pid, owner.hostname)
        with contextlib.suppress(filelock.Timeout):
            lease.acquire(timeout=LEASE_S + 10)
    if not lease.is_locked:
        raise _in_use(folder, *((owner.pid, owner.hostname) if owner else ()))
    try:
        yield
    finally:
        lease.release()


@contextlib.contextmanager
def _held_in_bucket(folder: str | os.PathLike[str]) -> Iterator[None]:
    """As on a disk; but a bucket has no exclusive creation that all libraries know, so that of two
    processes that begin within a second both may be refused."""
    marker = folders.absolute(folder) / MARKER
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "token": uuid.uuid4().hex}

    def read() -> dict[str, Any] | None:
        with contextlib.suppress(FileNotFoundError):
            return json.loads(marker.read_text())
        return None

    def write(count: int) -> None:
        marker.write_text(json.dumps(mine | {"count": count}))

    def is_mine() -> bool:
        found = read()
        return found is not None and found["token"] == mine["token"]

    def refresh() -> None:
        count = 0
        while not ended.wait(LEASE_S / 4):
            # What cannot be reached now is tried again; others take it after LEASE_S.
            with contextlib.suppress(OSError):
                if not is_mine():
                    _end(folder)
                write(count := count + 1)

    other = read()
    if other is not None and not (
        other["host"] == mine["host"] and not pathlib.Path(f"/proc/{other['pid']}").exists()
    ):
        _say_waiting(folder, other["pid"], other["host"])
        deadline_s = time.monotonic() + LEASE_S
        while time.monotonic() < deadline_s:
            time.sleep(LEASE_S / 20)
            if read() not in (other, None):
                raise _in_use(folder, other["pid"], other["host"])
    write(0)
    time.sleep(min(1.0, LEASE_S / 20))
    if not is_mine():
        raise _in_use(folder)
    ended = threading.Event()
    refreshing = threading.Thread(target=refresh, daemon=True)
    refreshing.start()
    try:
        yield
    finally:
        ended.set()
        refreshing.join()
        marker.unlink(missing_ok=True)


def _say_waiting(folder: str | os.PathLike[str], pid: int, host: str) -> None:
    print(
        f"{os.fspath(folder)} was in use by process {pid} of {host}: waiting {LEASE_S} s for a "
        "sign of life of it.",
        file=sys.stderr,
    )


def _in_use(folder: str | os.PathLike[str], pid: int | None = None, host: str = "") -> InputError:
    by = f"process {pid} of {host}" if pid else "another process"
    return InputError(
        f"{os.fspath(folder)} is in use by {by}: wait for its end, or use another folder."
    )


def _end(folder: str | os.PathLike[str]) -> NoReturn:
    print(
        f"error: {os.fspath(folder)} is no longer this process's, which ends without saving: see "
        f"what else writes there; {MARKER} was removed or taken.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
