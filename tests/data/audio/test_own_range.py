"""Codes by a clip's own extremes, and the samples that stand for them."""

import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data.audio import own_range, reading
from wavenet_jax.quantization import Quantizer

companding = pytest.mark.parametrize("companding", own_range.COMPANDINGS)


def published(samples: np.ndarray, companding: str) -> np.ndarray:
    """Codes as exact numbers, not rounded: those of the protocol are their whole parts."""
    x = samples / 32768
    share = (x - x.min()) / (np.ptp(x) + 1e-6)
    if companding == "mu_law":
        share = (1 + np.sign(2 * share - 1) * np.log2(1 + 255 * abs(2 * share - 1 + 1e-8)) / 8) / 2
    return share * 255.99 + 0.005


@companding
@settings(max_examples=20)
@given(samples=hnp.arrays(np.int16, st.integers(2, 300)))
def test_the_model_s_quantizer_makes_the_codes_again(companding, samples) -> None:
    coded = own_range.coded(samples, companding)
    codes = own_range.codes(samples, companding)
    assert np.array_equal(Quantizer(256, companding).encode(coded), codes)
    if np.ptp(samples) > 1000:
        assert codes.min() == 0 and codes.max() == 255
        assert codes[samples.argmin()] == 0 and codes[samples.argmax()] == 255
    exact = published(samples.astype(float), companding)
    assert np.abs(codes + 0.5 - exact).max() < 0.5 + 1e-3  # an edge may fall to either side


@companding
def test_every_code_has_a_sample(companding: str) -> None:
    ramp = np.linspace(-20000, 5000, 100_000).astype(np.int16)
    assert set(own_range.codes(ramp, companding)) == set(range(256))


@companding
def test_recordings_have_the_published_codes(companding: str, shared: pathlib.Path) -> None:
    """Of real sound, but for samples within 1e-4 of an edge between two."""
    for path in sorted((shared / "fsdd").rglob("*.wav"))[:20]:
        samples, _ = reading.read(path)
        exact = published(samples.astype(float), companding)
        near_edge = np.abs(exact - np.rint(exact)) < 1e-4
        codes = own_range.codes(samples, companding)
        assert near_edge.mean() < 0.01
        assert np.array_equal(codes[~near_edge], np.floor(exact[~near_edge]))
