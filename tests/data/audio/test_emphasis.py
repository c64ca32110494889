"""Pre-emphasis: undone exactly, chunk by chunk, and the corpus that gives it."""

import numpy as np
import pytest

import data
from data.audio.emphasis import DeEmphasis, pre_emphasize
from data.errors import DataError

LOUD = np.random.default_rng(0).integers(-32768, 32768, 3000).astype(np.int16)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.97])
def test_the_inverse_gives_the_recording_back(coefficient: float) -> None:
    """To what rounding to 16 bits leaves, and without clipping at full scale."""
    y = pre_emphasize(np.pad(LOUD, (1, 0)), coefficient)
    assert y.dtype == np.int16
    x = DeEmphasis(coefficient)(y)
    allowed = 0 if coefficient == 0 else (1 + coefficient) / (1 - coefficient)
    assert np.abs(x.astype(int) - LOUD).max() <= allowed


def test_chunks_do_not_matter() -> None:
    y = pre_emphasize(np.pad(LOUD, (1, 0)), 0.9)
    in_chunks = DeEmphasis(0.9)
    parts = [in_chunks(y[i : i + 700]) for i in range(0, len(y), 700)]
    np.testing.assert_array_equal(np.concatenate(parts), DeEmphasis(0.9)(y))
    # And sound may go on after sound that was never emphasised.
    later = DeEmphasis(0.9, last=float(LOUD[999]))
    assert np.abs(later(y[1000:]).astype(int) - LOUD[1000:]).max() <= 19


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
