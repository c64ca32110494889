"""Bits per sample of baselines: the score that outputs and models share."""

import numpy as np

from wavenet_jax.quantization import Quantizer


def unigram_entropy_bits(counts: np.ndarray) -> float:
    """Entropy of the codes' frequencies, the score of a model without memory.

    Args:
      counts: frequency of each code, shape `[K]`.
    """
    p = counts[counts > 0] / counts.sum()
    return float(-np.sum(p * np.log2(p)))


def code_counts(samples: np.ndarray, quantizer: Quantizer) -> np.ndarray:
    """Frequency of each code in int16 samples; shape `[K]`."""
    codes = quantizer.code_of_int16[samples.astype(np.int32) + 32768]
    return np.bincount(codes, minlength=quantizer.num_classes)
