"""Mu-law codes: exact at the ends, back and forth, and held to the paper's formula."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavenet_jax import mulaw

CLASSES = (16, 256, 512)
EVERY_INT16 = np.arange(-32768, 32768).astype(np.int16)


def companded(x: np.ndarray, num_classes: int) -> np.ndarray:
    """Section 2.2 in float64, with its own words for everything."""
    mu = float(num_classes - 1)
    return np.sign(x) * np.log(1 + mu * np.abs(x)) / np.log(1 + mu)


@pytest.mark.parametrize("num_classes", CLASSES)
def test_the_ends_are_exact(num_classes: int) -> None:
    """-1 and +1 are the first and the last code, and decode to themselves."""
    last = num_classes - 1
    assert mulaw.encode(np.float32([-1, 1]), num_classes).tolist() == [0, last]
    assert mulaw.encode(np.int16([-32768, 32767]), num_classes).tolist() == [0, last]
    ends = mulaw.decode_int16(np.array([0, last]), num_classes)
    assert ends.dtype == jnp.int16
    assert ends.tolist() == [-32768, 32767]


@pytest.mark.parametrize("num_classes", CLASSES)
def test_silence(num_classes: int) -> None:
    code = num_classes // 2
    assert mulaw.encode(np.int16([0]), num_classes).tolist() == [code]
    assert mulaw.encode(np.float32([0.0, -0.0]), num_classes).tolist() == [code, code]


def test_beyond_the_range_is_the_nearer_end() -> None:
    assert mulaw.encode(np.float32([-1.5, 1.5, np.inf])).tolist() == [0, 255, 255]


@pytest.mark.parametrize("num_classes", CLASSES)
def test_every_int16_against_the_formula(num_classes: int) -> None:
    """Each sample has the code whose level is nearest to it, companded in float64."""
    x = EVERY_INT16 / 32768
    x[-1] = 1.0
    levels = 2 * np.arange(num_classes) / (num_classes - 1) - 1
    codes = np.asarray(mulaw.encode(EVERY_INT16, num_classes))
    distances = np.abs(companded(x, num_classes) - levels[codes])
    assert distances.max() <= 1 / (num_classes - 1) + 1e-12
    assert np.all(np.diff(codes) >= 0)
    assert codes.dtype == np.int32
    assert (codes.min(), codes.max()) == (0, num_classes - 1)


@pytest.mark.parametrize("num_classes", CLASSES)
def test_decoding_against_the_formula(num_classes: int) -> None:
    levels = 2 * np.arange(num_classes) / (num_classes - 1) - 1
    mu = num_classes - 1
    amplitudes = np.sign(levels) * (np.float64(num_classes) ** np.abs(levels) - 1) / mu
    np.testing.assert_allclose(companded(amplitudes, num_classes), levels, atol=1e-12)
    pcm = np.asarray(mulaw.decode_int16(np.arange(num_classes), num_classes))
    assert pcm.dtype == np.int16
    np.testing.assert_allclose(pcm[:-1] / 32768, amplitudes[:-1], atol=0.51 / 32768)
    assert np.all(np.diff(pcm) > 0)


def test_int16_and_float_agree() -> None:
    """The same sound has the same codes either way; only a tie may round either way."""
    as_float = (EVERY_INT16 / 32768).astype(np.float32)
    of_int16 = np.asarray(mulaw.encode(EVERY_INT16))
    of_float = np.asarray(mulaw.encode(as_float))
    position = (companded(EVERY_INT16 / 32768, 256) + 1) / 2 * 255
    is_tie = np.abs(position - np.floor(position) - 0.5) < 1e-4
    np.testing.assert_array_equal(of_int16[~is_tie], of_float[~is_tie])
    assert is_tie.sum() < 100
    assert np.abs(of_int16 - of_float).max() <= 1


@given(st.floats(-1, 1, width=32), st.sampled_from(CLASSES))
def test_round_trip_within_half_a_step(x: float, num_classes: int) -> None:
    """In the companded domain, where the levels are evenly spaced."""
    pcm = np.asarray(mulaw.decode_int16(mulaw.encode(np.float32(x), num_classes), num_classes))
    there = companded(np.float64(x), num_classes)
    # As far as 16 bits represent it: the next samples are beyond half a step.
    near = companded((float(pcm) + np.array([-0.5, 0.5])) / 32768, num_classes)
    half = 1 / (num_classes - 1) + 1e-5
    assert near[0] - half <= there
    assert there <= near[1] + half


@pytest.mark.parametrize("num_classes", CLASSES)
def test_every_code_survives(num_classes: int) -> None:
    """Decoded to int16 and encoded again, a code is what it was."""
    codes = np.arange(num_classes)
    through_int16 = mulaw.encode(mulaw.decode_int16(codes, num_classes), num_classes)
    np.testing.assert_array_equal(through_int16, codes)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.bool_])
def test_a_type_of_unknown_scale_is_refused(dtype: type) -> None:
    with pytest.raises(TypeError, match="takes int16 or floating samples"):
        mulaw.encode(np.zeros(3, dtype))
