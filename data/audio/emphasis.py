"""Pre-emphasis: a filter that raises high frequencies before quantisation.

    y[n] = (x[n] - c x[n - 1]) / (1 + c)

Quantisation noise is white; the inverse filter, applied to generated sound
(`wavenet_jax.audio`), lowers it at high frequencies. The division keeps every recording within
16 bits.
"""

import numpy as np

from data.errors import DataError


def check_coefficient(coefficient: float) -> None:
    """Raises DataError unless 0 <= coefficient < 1."""
    if not 0 <= coefficient < 1:
        raise DataError(
            f"pre_emphasis is {coefficient}: give a number from 0 for none up to, not including, 1"
        )


def pre_emphasize(samples: np.ndarray, coefficient: float) -> np.ndarray:
    """int16 `[1 + N]` to int16 `[N]`: the first sample is only the one before the second."""
    x = samples.astype(np.float64)
    y = (x[1:] - coefficient * x[:-1]) / (1 + coefficient)
    return np.rint(y).astype(np.int16)
