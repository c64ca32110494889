"""The machine that a benchmark ran on."""

import os
import platform
import time
from typing import Any

import jax


def description() -> dict[str, Any]:
    """Devices, cores, versions and the date, for the JSON of a benchmark."""
    return {
        "platform": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
