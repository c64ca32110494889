"""The machine that a benchmark ran on."""

import os
import pathlib
import platform
import time
from typing import Any

import jax

_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}


def description() -> dict[str, Any]:
    """Devices, cores, versions and the date, for the JSON of a benchmark."""
    return {
        "platform": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "cpu": _cpu(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpu() -> str:
    """The processor's name and its widest vectors, where the kernel tells; else its kind."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    fields = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    name = fields.get("model name", platform.machine()).strip()
    flags = fields.get("flags", "").split()
    widest = [text for flag, text in _VECTORS.items() if flag in flags]
    return f"{name} ({widest[0]})" if widest else name
