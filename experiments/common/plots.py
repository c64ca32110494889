"""Figures of sound and of training, for TensorBoard and for files.

Every function returns a `matplotlib.figure.Figure` of its own and uses neither pyplot nor any
other global state, so figures may be drawn from any thread. Studies and benchmarks draw their own
figures with the colours and helpers of this module.
"""

import contextlib
import math
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence

import librosa
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

INK = "#22313f"
PALE = "#aab4bd"
SERIES_COLOURS = ("#2f6690", "#d1603d", "#4f8a5b", "#8b5d8f", "#b8902b")
LOUDNESS = LinearSegmentedColormap.from_list(
    "loudness", ["#ffffff", "#d6e4ee", "#7fa9c6", "#2f6690", "#14202b"]
)

WINDOW_S = 0.025
HOP_S = 0.004
SMOOTHED_FROM_POINTS = 100


def spectrograms(
    pairs: Sequence[tuple[str, ArrayLike]],
    sample_rate_hz: int,
    *,
    columns: int = 2,
    range_db: float = 80.0,
) -> Figure:
    """Draws recordings side by side: a strip of waveform above each spectrogram.

    All panels share one time scale and one loudness scale.

    Args:
      pairs: title and samples of each recording, such as real and generated in turn.
        Samples have shape `[T]`, as floats in [-1, 1] or as int16.
      sample_rate_hz: samples per second of all the recordings.
      columns: panels side by side.
      range_db: how far below the loudest point of all panels the scale reaches.

    Returns:
      A figure whose axes are, for each recording in turn, the waveform and the
      spectrogram, and last the scale of loudness.

    Raises:
      ValueError: there are no recordings, or one has not the shape `[T]`.
    """
    if not pairs:
        raise ValueError("there are no recordings to draw")
    recordings = [(title, as_float(title, samples)) for title, samples in pairs]
    hop_samples = max(1, round(HOP_S * sample_rate_hz))
    powers = [_power_spectrogram(samples, sample_rate_hz, hop_samples) for _, samples in recordings]
    loudest = max(power.max() for power in powers) or 1.0
    longest_s = max(len(samples) for _, samples in recordings) / sample_rate_hz
    peak = max(np.abs(samples).max() for _, samples in recordings) or 1.0

    columns = min(columns, len(recordings))
    rows = math.ceil(len(recordings) / columns)
    figure = new_figure(5.0 * columns + 0.8, 3.1 * rows)
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[1, 3.2] * rows)
    panels = []
    for i, ((title, samples), power) in enumerate(zip(recordings, powers, strict=True)):
        row, column = divmod(i, columns)
        wave = figure.add_subplot(grid[2 * row, column])
        panel = figure.add_subplot(grid[2 * row + 1, column], sharex=wave)
        wave.set_title(title, loc="left", color=INK, fontsize=11)
        time_s = np.arange(len(samples)) / sample_rate_hz
        wave.plot(time_s, samples, color=SERIES_COLOURS[0], linewidth=0.4)
        wave.set_ylim(-1.05 * peak, 1.05 * peak)
        tidy(wave, spines=())
        wave.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)

        floor = loudest * 10 ** (-range_db / 10)
        level_db = 10 * np.log10(np.maximum(power, floor) / loudest)
        half_hop_s = hop_samples / sample_rate_hz / 2
        half_bin_khz = sample_rate_hz / 2000 / (len(power) - 1) / 2
        image = panel.imshow(
            level_db,
            origin="lower",
            aspect="auto",
            cmap=LOUDNESS,
            vmin=-range_db,
            vmax=0.0,
            extent=(
                -half_hop_s,
                (2 * level_db.shape[1] - 1) * half_hop_s,
                -half_bin_khz,
                sample_rate_hz / 2000 + half_bin_khz,
            ),
        )
        tidy(panel)
        panel.set_xlim(0, longest_s)
        panel.set_ylim(0, sample_rate_hz / 2000)
        panel.yaxis.set_major_locator(MaxNLocator(4))
        panel.set_xlabel("time (s)", color=INK)
        if column == 0:
            panel.set_ylabel("frequency (kHz)", color=INK)
        panels.append(panel)
    level_scale(figure, image, panels, 0.8)
    return figure


def loss_curve(
    history: Mapping[str, Sequence[tuple[float, float]]],
    references: Mapping[str, float],
    *,
    x_label: str = "training step",
    y_label: str = "bits per sample",
    title: str = "",
) -> Figure:
    """Draws scores against the training step, or against time, with fixed levels to compare.

    A series of many points is drawn faintly under its moving average; in a series of few
    points each point is marked.

    Args:
      history: for each series, its points `(x, y)` in any order, for example
        "training" and "held out" in bits per sample.
      references: for each horizontal line, its level, for example the unigram entropy.
      x_label: of the x axis.
      y_label: of the y axis.
      title: printed above, if not empty.

    Returns:
      A figure of one axes.

    Raises:
      ValueError: no series has a point.
    """
    if not any(len(points) for points in history.values()):
        raise ValueError("there are no points to draw a curve through")
    figure = new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    colours = [SERIES_COLOURS[i % len(SERIES_COLOURS)] for i, _ in enumerate(history)]
    for (name, points), colour in zip(history.items(), colours, strict=True):
        if not len(points):
            continue
        x, y = np.asarray(sorted(points), np.float64).T
        if len(x) < SMOOTHED_FROM_POINTS:
            axes.plot(x, y, color=colour, label=name, marker="o", markersize=3.5)
        else:
            axes.plot(x, y, color=colour, alpha=0.3, linewidth=0.6)
            axes.plot(x, _moving_average(y), color=colour, linewidth=1.8, label=name)
    for name, level in references.items():
        axes.axhline(level, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f"{name}: {level:.2f}",
            xy=(1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            horizontalalignment="right",
            color=INK,
            fontsize=9,
        )
    tidy(axes)
    grid_lines(axes)
    axes.set_xlim(left=0)
    axes.margins(y=0.08)
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.legend(frameon=False, labelcolor=INK)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> None:
    """Writes a figure in the format that the name ends in, whole or not at all.

    Args:
      figure: the figure.
      path: file to write or replace; its folder is made if it is missing.
      dpi: pixels per inch.

    Raises:
      OSError: the file cannot be written.
      ValueError: matplotlib has no such format.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        figure.savefig(name, dpi=dpi)
        pathlib.Path(name).chmod(0o644)
        pathlib.Path(name).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(name).unlink()


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of this size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_facecolor("white")
    return figure


def tidy(axes: Axes, spines: Sequence[str] = ("left", "bottom")) -> None:
    """Applies the common style to axes, of which only these spines are drawn."""
    for name, spine in axes.spines.items():
        spine.set_visible(name in spines)
        spine.set_color(PALE)
    axes.tick_params(colors=INK, labelsize=9)


def grid_lines(axes: Axes) -> None:
    """Draws pale horizontal lines behind the curves of axes."""
    axes.grid(axis="y", color=PALE, alpha=0.35, linewidth=0.6)
    axes.set_axisbelow(True)


def level_scale(figure: Figure, image: AxesImage, panels: Sequence[Axes], shrink: float) -> None:
    """Adds the colour bar of levels that the panels share."""
    scale = figure.colorbar(image, ax=list(panels), shrink=shrink, pad=0.02, aspect=30)
    scale.set_label("level (dB re the loudest point)", color=INK)
    scale.ax.tick_params(colors=INK, labelsize=9)
    scale.outline.set_visible(False)  # type: ignore[operator]


def as_float(title: str, samples: ArrayLike) -> np.ndarray:
    """Samples `[T]` as float32 in [-1, 1].

    Raises:
      ValueError: the samples have another shape, or there are none.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or not samples.size:
        raise ValueError(f'"{title}" has shape {samples.shape}: give samples of shape [T], T > 0')
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / 32768
    return samples.astype(np.float32)


def _power_spectrogram(samples: np.ndarray, sample_rate_hz: int, hop_samples: int) -> np.ndarray:
    """Power of samples `[T]`, shape `[1 + n_fft / 2, 1 + T // hop_samples]`."""
    window_samples = max(2, round(WINDOW_S * sample_rate_hz))
    n_fft = 2 ** math.ceil(math.log2(2 * window_samples))
    # librosa warns about recordings shorter than its window.
    missing = max(0, n_fft - len(samples))
    spectrum = librosa.stft(
        np.pad(samples, (0, missing)),
        n_fft=n_fft,
        win_length=window_samples,
        hop_length=hop_samples,
    )
    power: np.ndarray = np.abs(spectrum[:, : 1 + len(samples) // hop_samples]) ** 2
    return power


def _moving_average(y: np.ndarray) -> np.ndarray:
    """Mean of `y`, shape `[N]`, over the N/25 points around each point."""
    half = max(1, len(y) // 50)
    total = np.concatenate([[0.0], np.cumsum(y)])
    i = np.arange(len(y))
    first, last = np.maximum(i - half, 0), np.minimum(i + half + 1, len(y))
    mean: np.ndarray = (total[last] - total[first]) / (last - first)
    return mean
