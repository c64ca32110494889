"""Figures of the study of speakers: confusion matrices, the embedding of the classes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from experiments.common import plots


def confusions(tables: Mapping[str, np.ndarray], classes: Sequence[str]) -> Figure:
    """Draws confusion matrices side by side.

    Args:
      tables: by title, counts `[K, K]`, indexed by the true class and the predicted class.
      classes: the K names.

    Returns:
      A figure of one axes for each table.

    Raises:
      ValueError: there is no matrix, or one has another shape.
    """
    if not tables:
        raise ValueError("there are no matrices to draw")
    size = 1.6 + 0.42 * len(classes)
    figure = plots.new_figure(size * len(tables), size)
    for i, (title, counts) in enumerate(tables.items()):
        if counts.shape != (len(classes),) * 2:
            raise ValueError(f"{title!r} has shape {counts.shape} for {len(classes)} classes")
        axes = figure.add_subplot(1, len(tables), i + 1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=plots.LOUDNESS, vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(counts), strict=True):
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if shares[row, column] > 0.5 else plots.INK,
            )
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        plots.tidy(axes, spines=())
        axes.set_xlabel("taken for", color=plots.INK)
        axes.set_title(title, loc="left", color=plots.INK, fontsize=11)
    return figure


def embedding(places: Mapping[str, ArrayLike]) -> Figure:
    """Draws named points of a plane, with one scale for both axes.

    Args:
      places: by class, its point `[2]`.

    Raises:
      ValueError: there is no point.
    """
    if not places:
        raise ValueError("there are no points to draw")
    figure = plots.new_figure(5.0, 5.0)
    axes = figure.add_subplot()
    x, y = np.stack([np.asarray(place, np.float64) for place in places.values()], axis=1)
    axes.scatter(x, y, color=plots.SERIES_COLOURS[0], s=18)
    extent = max(np.ptp(x), np.ptp(y))
    for name, at in zip(places, zip(x, y, strict=True), strict=True):
        # Of two points that are close, the lower one's name goes below it.
        near_above = (np.abs(x - at[0]) < 0.2 * extent) & (y > at[1]) & (y < at[1] + 0.04 * extent)
        axes.annotate(
            name,
            at,
            xytext=(4, -4 if near_above.any() else 4),
            textcoords="offset points",
            va="top" if near_above.any() else "bottom",
            color=plots.INK,
            fontsize=9,
        )
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.2)
    plots.tidy(axes)
    return figure
