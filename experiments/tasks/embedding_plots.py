"""Pictures of embeddings: each channel over time, and their two principal components."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from experiments.common import plots

SIGNED = LinearSegmentedColormap.from_list(
    "signed", [plots.SERIES_COLOURS[1], "#ffffff", plots.SERIES_COLOURS[0]]
)
MAX_SERIES = 12
MARKERS = "os^Dv<>*"


def embeddings(series: Mapping[str, np.ndarray], frame_s: float) -> Figure:
    """Draws series of embeddings: channels over time, and below them all in one plane.

    The plane is that of the two principal components of all frames; each series is a path from
    its first frame, which is marked.

    Args:
      series: by title, `[F, D]`; of more than `MAX_SERIES` the first.
      frame_s: seconds of a frame.

    Raises:
      ValueError: there is no series.
    """
    if not series:
        raise ValueError("there are no embeddings to draw")
    shown = dict(list(series.items())[:MAX_SERIES])
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = plots.new_figure(4.2 * columns, 1.9 * rows + 4.6)
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[1.0] * rows + [2.6])
    largest = max(float(np.abs(each).max()) for each in shown.values()) or 1.0
    longest_s = max(map(len, shown.values())) * frame_s
    for i, (title, each) in enumerate(shown.items()):
        axes = figure.add_subplot(grid[i // columns, i % columns])
        axes.imshow(
            each.T,
            aspect="auto",
            origin="lower",
            cmap=SIGNED,
            vmin=-largest,
            vmax=largest,
            interpolation="nearest",
            extent=(0.0, len(each) * frame_s, -0.5, each.shape[1] - 0.5),
        )
        axes.set_xlim(0, longest_s)
        axes.set_title(title, loc="left", color=plots.INK, fontsize=9)
        axes.set_ylabel("channel", color=plots.INK)
        axes.set_xlabel("time (s)", color=plots.INK)
        plots.tidy(axes)
    axes = figure.add_subplot(grid[rows, :])
    placed = _plane(list(shown.values()))
    for i, (title, path) in enumerate(zip(shown, placed, strict=True)):
        colour = plots.SERIES_COLOURS[i % len(plots.SERIES_COLOURS)]
        axes.plot(*path.T, color=colour, linewidth=0.8, alpha=0.7)
        axes.scatter(
            path[0, 0],
            path[0, 1],
            color=colour,
            marker=MARKERS[i % len(MARKERS)],
            label=title,
            s=28,
        )
    _label(axes)
    return figure


def plane(points: np.ndarray, groups: Mapping[str, Sequence[str]]) -> Figure:
    """Draws the two principal components of points, coloured by each grouping side by side.

    Args:
      points: `[N, D]`, such as the mean embeddings of N recordings.
      groups: by title, the class of each point.

    Raises:
      ValueError: there are fewer than two points, or not a class for each.
    """
    if len(points) < 2 or any(len(classes) != len(points) for classes in groups.values()):
        raise ValueError("give at least two points, and a class for each")
    (places,) = _plane([points])
    figure = plots.new_figure(5.2 * len(groups), 4.8)
    for i, (title, classes) in enumerate(groups.items()):
        axes = figure.add_subplot(1, len(groups), i + 1)
        for j, name in enumerate(sorted(set(classes))):
            of_class = places[np.array([each == name for each in classes])]
            axes.scatter(
                of_class[:, 0],
                of_class[:, 1],
                color=plots.SERIES_COLOURS[j % len(plots.SERIES_COLOURS)],
                marker=MARKERS[j // len(plots.SERIES_COLOURS) % len(MARKERS)],
                label=name,
                s=16,
            )
        axes.set_title(title, loc="left", color=plots.INK, fontsize=11)
        _label(axes)
    return figure


def _plane(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each part's points, `[F, D]`, in the plane of all points' two principal components."""
    from sklearn.decomposition import PCA  # slow to import

    points = np.concatenate(parts)
    places, number = np.zeros((len(points), 2)), min(2, *points.shape)
    if len(points) > 1:  # one point has no components
        places[:, :number] = PCA(number).fit_transform(points)
    return np.split(places, np.cumsum([len(part) for part in parts])[:-1])


def _label(axes) -> None:
    axes.set_xlabel("principal component 1", color=plots.INK)
    axes.set_ylabel("principal component 2", color=plots.INK)
    axes.legend(frameon=False, fontsize=7, labelcolor=plots.INK, ncols=2)
    plots.tidy(axes)
