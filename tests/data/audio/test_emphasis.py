"""Pre-emphasis, and the corpus that gives it."""

import fractions

import numpy as np
import pytest

import data
from data.audio.emphasis import pre_emphasize
from data.errors import DataError

LOUD = np.random.default_rng(0).integers(-32768, 32768, 3000).astype(np.int16)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.97])
def test_the_filter_is_its_equation(coefficient: float) -> None:
    """In exact arithmetic, to the nearest whole number, without overflow at full scale."""
    x = np.concatenate([[-32768, 32767, -32768], LOUD[:300]]).astype(np.int16)
    y = pre_emphasize(x, coefficient)
    assert y.dtype == np.int16
    c = fractions.Fraction(coefficient)
    wanted = [(int(x[n]) - c * int(x[n - 1])) / (1 + c) for n in range(1, len(x))]
    assert max(abs(int(a) - b) for a, b in zip(y, wanted, strict=True)) <= 0.5 + 1e-9


def test_it_raises_what_is_high() -> None:
    time = np.arange(8000) / 8000
    low, high = ((8000 * np.sin(2 * np.pi * hz * time)).astype(np.int16) for hz in (100, 3000))
    gains = [pre_emphasize(x, 0.9).std() / x.std() for x in (low, high)]
    assert gains[1] > 8 * gains[0]


def test_a_corpus_gives_it_wherever_it_is_cut(fsdd_dir) -> None:
    plain = data.load("fsdd", fsdd_dir, "train")
    raised = data.load("fsdd", fsdd_dir, "train", pre_emphasis=0.8)
    length = int(plain.lengths[1])
    whole = pre_emphasize(np.pad(plain.samples(1, 0, length), (1, 0)), 0.8)
    np.testing.assert_array_equal(raised.samples(1, 0, length), whole)
    np.testing.assert_array_equal(raised.samples(1, 57, 300), whole[57:300])
    np.testing.assert_array_equal(raised.recording(1)["audio"], plain.recording(1)["audio"])


@pytest.mark.parametrize("coefficient", [-0.1, 1.0])
def test_a_coefficient_out_of_range(fsdd_dir, coefficient: float) -> None:
    with pytest.raises(DataError, match=f"pre_emphasis is {coefficient}: give a number from 0"):
        data.load("fsdd", fsdd_dir, "train", pre_emphasis=coefficient)
