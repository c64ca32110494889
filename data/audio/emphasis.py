"""Pre-emphasis: high frequencies raised before quantisation, and lowered again after.

    y[n] = (x[n] - c x[n - 1]) / (1 + c),        x[n] = (1 + c) y[n] + c x[n - 1]

Quantisation noise is white; lowering the high frequencies of what was generated lowers
it where it is heard. The division keeps every recording within 16 bits.
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
    """int16 `[1 + N]` to int16 `[N]`: the first sample is only the past of the second."""
    x = samples.astype(np.float64)
    y = (x[1:] - coefficient * x[:-1]) / (1 + coefficient)
    return np.rint(y).astype(np.int16)


class DeEmphasis:
    """The inverse, of sound that arrives in chunks.

    Values beyond 16 bits, which no recording has but a generated one may, end there.
    """

    def __init__(self, coefficient: float, last: float = 0.0) -> None:
        """`last` is the sample before the first chunk, without emphasis."""
        self._coefficient = coefficient
        self._state = np.array([coefficient * last])

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """int16 `[N]` to int16 `[N]`."""
        c = self._coefficient
        if not c:
            return samples
        import scipy.signal  # slow, and not of what only reads

        x, self._state = scipy.signal.lfilter([1 + c], [1, -c], samples, zi=self._state)
        return np.clip(np.rint(x), -32768, 32767).astype(np.int16)
