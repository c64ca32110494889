"""The compiled functions of librosa, before several processes need them.

numba keeps what it compiles of a `guvectorize`d function in two files. Where they are missing, as
in a new environment, and two processes make them a moment apart, one file of each may stay; then a
call of the function ends this process and every later one with a segmentation fault (numba issue
10128).
"""

import importlib

MODULES = ("librosa.util.utils", "librosa.core.audio", "librosa.core.pitch", "librosa.beat")
"""Those that have such functions, which are compiled as the module is imported."""


def load() -> None:
    """Compiles the functions, or reads them where that was done; for one process, before others."""
    for name in MODULES:
        importlib.import_module(name)
