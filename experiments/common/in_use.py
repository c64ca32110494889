"""One program at a time writes to a folder, also where several hosts share it."""

import contextlib
import os
import pathlib
import socket
import sys
from collections.abc import Iterator

import filelock

from wavenet_jax import InputError

MARKER = "in_use.lock"
LEASE_S = 60
"""A program of another host that has shown no sign of life for so long is taken for dead; one of
this host is looked up."""


@contextlib.contextmanager
def held(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Marks a folder, which exists, as in use by this process, within the context.

    A process that was killed on this host holds it no longer. Should another process take the
    folder meanwhile, since this one was suspended for longer than `LEASE_S`, this one ends at once.

    Raises:
      InputError: another process uses it.
    """
    path = pathlib.Path(folder) / MARKER

    def end(compromise: filelock.LeaseCompromise) -> None:
        print(
            f"error: {folder} is no longer this process's ({compromise.reason}): it ends without "
            "saving; see what else writes there.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)

    lease = filelock.SoftFileLease(path, lease_duration=LEASE_S, on_compromise=end)
    try:
        lease.acquire(timeout=0)
    except filelock.Timeout:
        owner = lease.owner
        if owner is not None and owner.hostname != socket.gethostname():
            print(
                f"{folder} was in use by process {owner.pid} of {owner.hostname}: waiting "
                f"{LEASE_S} s for a sign of life of it.",
                file=sys.stderr,
            )
            with contextlib.suppress(filelock.Timeout):
                lease.acquire(timeout=LEASE_S + 10)
    if not lease.is_locked:
        owner = lease.owner
        by = f"process {owner.pid} of {owner.hostname}" if owner else "another process"
        raise InputError(f"{folder} is in use by {by}: wait for its end, or use another folder.")
    try:
        yield
    finally:
        lease.release()
