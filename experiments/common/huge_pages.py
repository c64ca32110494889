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

    To be called while the package is imported. The process stays the same, with the same arguments.
    Nothing happens where GLIBC_TUNABLES is set (set it empty to go without), off Linux, or where
    the package is imported by another program.
    """
    if sys.platform == "linux" and _TUNABLES not in os.environ and _is_program():
        os.environ[_TUNABLES] = _HUGE_PAGES
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _is_program() -> bool:
    """Whether Python looks for a module of `experiments` to run."""
    if sys.argv[:1] != ["-m"]:
        return False
    following = sys.orig_argv[sys.orig_argv.index("-m") + 1 :]
    return bool(following) and following[0].startswith("experiments.")
