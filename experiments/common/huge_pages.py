"""Memory in huge pages, which training on a CPU is faster in.

Each call of a compiled step allocates gigabytes from the C library and frees them; in pages of
4 KiB the kernel then spends much of the time on clearing them. glibc asks for pages of 2 MiB
if a tunable says so, which it reads only when a process begins.
"""

import os
import sys

_TUNABLES = "GLIBC_TUNABLES"
_HUGE_PAGES = "glibc.malloc.hugetlb=1"


def restart() -> None:
    """Restarts `python -m experiments.PROGRAM`, once, with huge pages.

    The process stays the same, with the same arguments. Nothing happens where GLIBC_TUNABLES is
    set (set it empty to go without), off Linux, or where the caller is no program of its own.
    """
    if sys.platform == "linux" and _TUNABLES not in os.environ and _is_program(sys.orig_argv):
        os.environ[_TUNABLES] = _HUGE_PAGES
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _is_program(command: list[str]) -> bool:
    """Whether a command line runs a module of `experiments`."""
    following = command[command.index("-m") + 1 :] if "-m" in command else []
    return bool(following) and following[0].startswith("experiments.")
