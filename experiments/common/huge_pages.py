"""Memory in huge pages, which a CPU trains 1.3 times as fast in.

Each call of a compiled step takes gigabytes from the C library and gives them back;
in pages of 4 KiB the kernel then spends a quarter of the time on clearing half a
million of them. glibc asks for pages of 2 MiB instead if told so, but it reads that
wish when a process begins, and never again.
"""

import os
import sys

_TUNABLES = "GLIBC_TUNABLES"
_WISH = "glibc.malloc.hugetlb=1"


def restart_with() -> None:
    """Starts `python -m experiments.PROGRAM` over, once, with the wish made.

    It is the same process after, with the same arguments; this comes before
    anything slow is imported. Nothing happens where GLIBC_TUNABLES is set already
    (set it empty to go without), off Linux, or when a program is only imported.
    """
    if sys.platform == "linux" and _TUNABLES not in os.environ and _is_program(sys.orig_argv):
        os.environ[_TUNABLES] = _WISH
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _is_program(command: list[str]) -> bool:
    """Whether a command line runs one of this package's modules."""
    following = command[command.index("-m") + 1 :] if "-m" in command else []
    return bool(following) and following[0].startswith(f"{__package__}.")
