"""Recordings spread over the whole range of 8-bit codes, each by its own extremes.

The published likelihoods of raw audio by SaShiMi (Goel et al., 2022, arXiv:2202.09729) and of its
baselines, WaveNet among them, are of such codes: a clip's least sample is code 0 and its largest
code 255, so that a quiet clip has as many codes as a loud one, and silence is wherever the extremes
put it. A corpus stores the samples that stand for these codes, from which a model's quantiser of
256 codes, with the same companding, makes the codes again.
"""

import functools

import numpy as np

COMPANDINGS = ("linear", "mu_law")
NUM_CODES = 256
MU = NUM_CODES - 1
FULL_SCALE = 32768

_MIN_RANGE = 1e-6
_NEAR_ZERO = 1e-8
_EDGE = 0.01
"""So much of a code's width is left out of the range, that its upper end has no code of its own."""


def codes(samples: np.ndarray, companding: str) -> np.ndarray:
    """The codes of a clip, uint8 `[N]`.

    In float32, as where they were published.

    Args:
      samples: int16 `[N]`.
      companding: one of `COMPANDINGS`.
    """
    x = samples.astype(np.float32) / np.float32(FULL_SCALE)
    low, high = x.min(), x.max()
    share = (x - low) / (high - low + np.float32(_MIN_RANGE))
    if companding == "mu_law":
        x = 2 * share - np.float32(1)
        size = np.log1p(np.float32(MU) * np.abs(x + np.float32(_NEAR_ZERO)))
        share = (np.sign(x) * (size / np.log1p(np.float32(MU))) + np.float32(1)) / 2
    scaled = share * np.float32(NUM_CODES - _EDGE) + np.float32(_EDGE / 2)
    return np.asarray(np.clip(scaled, 0, NUM_CODES - 1).astype(np.uint8))


def coded(samples: np.ndarray, companding: str) -> np.ndarray:
    """A clip's samples, int16 `[N]`, as those that its `codes` stand for."""
    return _samples_of_codes(companding)[codes(samples, companding)]


@functools.cache
def _samples_of_codes(companding: str) -> np.ndarray:
    """Shape `[256]`, int16: what a model's quantiser makes of each code."""
    numbers = np.arange(NUM_CODES)
    if companding == "linear":
        return ((numbers - NUM_CODES // 2) * (2 * FULL_SCALE // NUM_CODES)).astype(np.int16)
    companded = 2 * numbers / MU - 1
    x = np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(MU)) / MU
    return np.clip(np.round(x * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
