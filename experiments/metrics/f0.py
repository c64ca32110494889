"""Distances between two F0 contours of the same sound, frame by frame."""

import numpy as np

GROSS_ERROR = 0.2  # of F0


def f0_errors(true: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """The errors of an F0 contour against a true one.

    Args:
      true: ln F0 and voicing, `[F, 2]`, as `data.log_f0` makes them.
      other: the same of the contour that is measured.

    Returns:
      `voicing_error`, the share of frames with the wrong voicing; `f0_gross_error`, the share of
      the frames voiced in both whose F0 is more than 20% off, which are mostly octave errors of a
      tracker (Rabiner et al., 1976); and over the other frames voiced in both `f0_rmse_cents`,
      `f0_median_cents` (of the absolute error) and `f0_correlation` (of ln F0). A figure is nan
      where too few frames are voiced in both.
    """
    voiced, also = true[:, 1] > 0.5, other[:, 1] > 0.5
    both = voiced & also
    near = np.abs(np.expm1(other[both, 0] - true[both, 0])) <= GROSS_ERROR
    a, b = true[both, 0][near], other[both, 0][near]
    correlation = np.corrcoef(a, b)[0, 1] if len(a) > 1 and a.std() and b.std() else np.nan
    cents = 1200 / np.log(2) * np.abs(a - b) if len(a) else np.full(1, np.nan)
    return {
        "f0_gross_error": float(np.mean(~near)) if len(near) else np.nan,
        "f0_rmse_cents": float(np.sqrt(np.mean(cents**2))),
        "f0_median_cents": float(np.median(cents)),
        "f0_correlation": float(correlation),
        "voicing_error": float(np.mean(voiced != also)),
    }


def sentence(errors: dict[str, float]) -> str:
    """The figures of `f0_errors` in words."""
    return (
        f"F0 {errors['f0_median_cents']:.0f} cents off in the median, "
        f"{errors['f0_rmse_cents']:.0f} rms (correlation {errors['f0_correlation']:.2f}), gross "
        f"errors in {errors['f0_gross_error']:.1%} of the frames voiced in both; wrong voicing in "
        f"{errors['voicing_error']:.1%} of all frames"
    )
