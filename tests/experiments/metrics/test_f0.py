"""Errors of F0 contours by hand."""

import numpy as np
import pytest

from experiments.metrics import f0

TRUE = np.array([[0.0, 1], [0.1, 1], [0.2, 1], [0.0, 0]])


def test_an_interval_and_wrong_voicing() -> None:
    off = np.array([[0.1, 1], [0.2, 1], [0.0, 0], [0.4, 1]])
    found = f0.f0_errors(TRUE, off)
    assert found["f0_rmse_cents"] == pytest.approx(0.1 * 1200 / np.log(2))
    assert found["f0_correlation"] == pytest.approx(1)
    assert found["voicing_error"] == 0.5
    assert found["f0_gross_error"] == 0


def test_an_octave_is_a_gross_error_and_no_rmse() -> None:
    octave = np.array([[0.1, 1], [0.1 + np.log(2), 1], [0.3, 1], [0.0, 0]])
    found = f0.f0_errors(TRUE, octave)
    assert found["f0_gross_error"] == pytest.approx(1 / 3)
    assert found["f0_median_cents"] == pytest.approx(0.1 * 1200 / np.log(2))
    assert "gross errors in 33.3% of the frames voiced in both; wrong voicing in 0.0%" in (
        f0.sentence(found)
    )


def test_unvoiced_frames_have_no_errors_of_f0() -> None:
    found = f0.f0_errors(TRUE, 0 * TRUE)
    assert found["voicing_error"] == 0.75
    for name in ("f0_gross_error", "f0_rmse_cents", "f0_median_cents", "f0_correlation"):
        assert np.isnan(found[name])
