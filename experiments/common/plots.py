"""Pictures of sound and of training, for TensorBoard and for the README.

Every function returns a `matplotlib.figure.Figure` of its own: nothing here touches
pyplot or any other global state, so figures may be drawn from any thread.
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

LOWEST_NOTE = "G3"
HIGHEST_SHARE = 0.9  # of half the sample rate
BINS_PER_OCTAVE = 36
NOTES_RANGE_DB = 60.0


def spectrograms(
    pairs: Sequence[tuple[str, ArrayLike]],
    sample_rate_hz: int,
    *,
    columns: int = 2,
    range_db: float = 80.0,
) -> Figure:
    """Draws recordings side by side: a strip of waveform above each spectrogram.

    All panels share one time scale and one loudness scale, so that what looks fainter
    or shorter is.

    Args:
      pairs: title and samples of each recording, such as real and generated in turn.
        Samples have shape `[T]`, as floats in [-1, 1] or as int16.
      sample_rate_hz: samples per second of all the recordings.
      columns: panels in a row.
      range_db: how far below the loudest point of all panels the scale reaches.

    Returns:
      A figure whose axes are, for each recording in turn, the waveform and the
      spectrogram, and last the scale of loudness.

    Raises:
      ValueError: if there is nothing to draw, or a recording is not a row of samples.
    """
    if not pairs:
        raise ValueError("there are no recordings to draw")
    recordings = [(title, _as_float(title, samples)) for title, samples in pairs]
    hop_samples = max(1, round(HOP_S * sample_rate_hz))
    powers = [_power_spectrogram(samples, sample_rate_hz, hop_samples) for _, samples in recordings]
    loudest = max(power.max() for power in powers) or 1.0
    longest_s = max(len(samples) for _, samples in recordings) / sample_rate_hz
    peak = max(np.abs(samples).max() for _, samples in recordings) or 1.0

    columns = min(columns, len(recordings))
    rows = math.ceil(len(recordings) / columns)
    figure = Figure(figsize=(5.0 * columns + 0.8, 3.1 * rows), layout="constrained")
    figure.set_facecolor("white")
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
        _tidy(wave, spines=())
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
        _tidy(panel)
        panel.set_xlim(0, longest_s)
        panel.set_ylim(0, sample_rate_hz / 2000)
        panel.yaxis.set_major_locator(MaxNLocator(4))
        panel.set_xlabel("time (s)", color=INK)
        if column == 0:
            panel.set_ylabel("frequency (kHz)", color=INK)
        panels.append(panel)
    scale = figure.colorbar(image, ax=panels, shrink=0.8, pad=0.02, aspect=30)
    scale.set_label("level (dB re the loudest point)", color=INK)
    scale.ax.tick_params(colors=INK, labelsize=9)
    scale.outline.set_visible(False)
    return figure


def notes(pairs: Sequence[tuple[str, ArrayLike]], sample_rate_hz: int) -> Figure:
    """Draws recordings of music one below the other, by pitch.

    The constant-Q transform, 36 bins an octave from the violin's lowest string (G3) up as far
    as the rate allows. All panels share one scale of loudness, which begins 60 dB below the
    loudest point.

    Args:
      pairs: title and samples of each recording, `[T]`, as floats in [-1, 1] or as int16.
      sample_rate_hz: samples per second of all the recordings.

    Raises:
      ValueError: if there is nothing to draw, or a recording is not a row of samples.
    """
    if not pairs:
        raise ValueError("there are no recordings to draw")
    lowest_hz = float(librosa.note_to_hz(LOWEST_NOTE))
    octaves = math.log2(HIGHEST_SHARE * sample_rate_hz / 2 / lowest_hz)
    hop_samples = 2 ** round(math.log2(4 * HOP_S * sample_rate_hz))
    magnitudes = []
    for title, samples in pairs:
        recording = _as_float(title, samples)
        # librosa warns of recordings shorter than its windows.
        longer = np.pad(recording, (0, max(0, sample_rate_hz - len(recording))))
        transform = librosa.cqt(
            longer,
            sr=sample_rate_hz,
            hop_length=hop_samples,
            fmin=lowest_hz,
            n_bins=int(octaves * BINS_PER_OCTAVE),
            bins_per_octave=BINS_PER_OCTAVE,
        )
        magnitudes.append(np.abs(transform[:, : 1 + len(recording) // hop_samples]))
    loudest = max(magnitude.max() for magnitude in magnitudes) or 1.0
    figure = Figure(figsize=(9.0, 0.4 + 1.7 * len(pairs)), layout="constrained")
    figure.set_facecolor("white")
    panels = figure.subplots(len(pairs), sharex=True, squeeze=False)[:, 0]
    longest_s = max(len(np.asarray(samples)) for _, samples in pairs) / sample_rate_hz
    for panel, (title, _), magnitude in zip(panels, pairs, magnitudes, strict=True):
        level_db = 20 * np.log10(np.maximum(magnitude / loudest, 10 ** (-NOTES_RANGE_DB / 20)))
        seconds = magnitude.shape[1] * hop_samples / sample_rate_hz
        image = panel.imshow(
            level_db,
            origin="lower",
            aspect="auto",
            cmap=LOUDNESS,
            vmin=-NOTES_RANGE_DB,
            vmax=0.0,
            extent=(0, seconds, 0, len(level_db) / BINS_PER_OCTAVE),
        )
        panel.set_title(title, loc="left", color=INK, fontsize=10)
        panel.set_yticks(range(int(octaves) + 1))
        panel.set_yticklabels([f"{LOWEST_NOTE[0]}{3 + i}" for i in range(int(octaves) + 1)])
        panel.set_xlim(0, longest_s)
        _tidy(panel)
    panels[-1].set_xlabel("time (s)", color=INK)
    scale = figure.colorbar(image, ax=list(panels), shrink=0.6, pad=0.02, aspect=30)
    scale.set_label("level (dB re the loudest point)", color=INK)
    scale.ax.tick_params(colors=INK, labelsize=9)
    scale.outline.set_visible(False)
    return figure


def bits_by_field(rows: Sequence[tuple[str, float, float]]) -> Figure:
    """Draws held-out bits per sample against the receptive field.

    Args:
      rows: of each model its name, its receptive field in milliseconds, and its bits.

    Raises:
      ValueError: if there are none.
    """
    if not rows:
        raise ValueError("there are no models to draw")
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    figure.set_facecolor("white")
    axes = figure.add_subplot()
    names, fields_ms, bits = zip(*rows, strict=True)
    axes.scatter(fields_ms, bits, color=SERIES_COLOURS[0], s=24)
    for name, at in zip(names, zip(fields_ms, bits, strict=True), strict=True):
        axes.annotate(name, at, xytext=(5, 4), textcoords="offset points", color=INK, fontsize=9)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.2)
    axes.set_xlabel("receptive field (ms)", color=INK)
    axes.set_ylabel("held-out bits per sample", color=INK)
    _tidy(axes)
    return figure


def panels(
    curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], *, y_label: str
) -> Figure:
    """Draws curves in an axes for each thing that they depend on, on logarithmic scales.

    Args:
      curves: by the label of an axis x, by the name of a curve, its points `(x, y)`. A name
        that begins with "limit" is drawn as a dashed line.
      y_label: what y counts.

    Raises:
      ValueError: if there is no curve.
    """
    if not curves:
        raise ValueError("there are no curves to draw")
    columns = min(2, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(5.2 * columns, 3.6 * rows), layout="constrained")
    figure.set_facecolor("white")
    for i, (x_label, by_name) in enumerate(curves.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        for k, (name, points) in enumerate(by_name.items()):
            x, y = np.asarray(sorted(points), np.float64).T
            if name.startswith("limit"):
                axes.plot(
                    x, y, color=INK, linewidth=1, linestyle=(0, (1 + 2 * (k % 2), 2)), label=name
                )
            else:
                colour = SERIES_COLOURS[k % len(SERIES_COLOURS)]
                axes.plot(x, y, color=colour, marker="o", markersize=3.5, label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(x, [f"{value:,.0f}" for value in x])
        axes.minorticks_off()
        _tidy(axes)
        axes.grid(axis="y", color=PALE, alpha=0.35, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(x_label, color=INK)
        if i % columns == 0:
            axes.set_ylabel(y_label, color=INK)
        if not i:
            axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def loss_curve(
    history: Mapping[str, Sequence[tuple[float, float]]],
    references: Mapping[str, float],
    *,
    x_label: str = "training step",
    y_label: str = "bits per sample",
    title: str = "",
) -> Figure:
    """Draws scores against the step, or against seconds, with fixed levels to beat.

    A series of many points is drawn faintly, with its moving average over it; a series
    of few points has each of them marked.

    Args:
      history: for each series, its points `(x, y)` in any order, for example
        "training" and "held out" in bits per sample.
      references: for each horizontal line, its level, for example the unigram entropy.
      x_label: what x counts.
      y_label: what y counts.
      title: printed above, if not empty.

    Returns:
      A figure of one axes.

    Raises:
      ValueError: if no series has a point.
    """
    if not any(len(points) for points in history.values()):
        raise ValueError("there are no points to draw a curve through")
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    figure.set_facecolor("white")
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
    _tidy(axes)
    axes.grid(axis="y", color=PALE, alpha=0.35, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlim(left=0)
    axes.margins(y=0.08)
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.legend(frameon=False, labelcolor=INK)
    return figure


def confusions(tables: Mapping[str, np.ndarray], classes: Sequence[str]) -> Figure:
    """Draws tables of what was taken for what, side by side.

    Args:
      tables: by title, counts `[K, K]`: rows are what it is, columns what it is taken for.
      classes: the K names.

    Returns:
      A figure of one axes for each table.

    Raises:
      ValueError: if there is no table, or one has another shape.
    """
    if not tables:
        raise ValueError("there are no tables to draw")
    size = 1.6 + 0.42 * len(classes)
    figure = Figure(figsize=(size * len(tables), size), layout="constrained")
    figure.set_facecolor("white")
    for i, (title, counts) in enumerate(tables.items()):
        if counts.shape != (len(classes),) * 2:
            raise ValueError(f"{title!r} has shape {counts.shape} for {len(classes)} classes")
        axes = figure.add_subplot(1, len(tables), i + 1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=LOUDNESS, vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(counts), strict=True):
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if shares[row, column] > 0.5 else INK,
            )
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        _tidy(axes, spines=())
        axes.set_xlabel("taken for", color=INK)
        axes.set_title(title, loc="left", color=INK, fontsize=11)
    return figure


def points(places: Mapping[str, ArrayLike]) -> Figure:
    """Draws named points of a plane, with one scale for both axes.

    Args:
      places: by name, the point `[2]`.

    Raises:
      ValueError: if there is no point.
    """
    if not places:
        raise ValueError("there are no points to draw")
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    figure.set_facecolor("white")
    axes = figure.add_subplot()
    x, y = np.stack([np.asarray(place, np.float64) for place in places.values()], axis=1)
    axes.scatter(x, y, color=SERIES_COLOURS[0], s=18)
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
            color=INK,
            fontsize=9,
        )
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.2)
    _tidy(axes)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> None:
    """Writes a figure in the format that the name ends in, whole or not at all.

    Args:
      figure: what to draw.
      path: file to write or replace; its directory is made when missing.
      dpi: pixels per inch.

    Raises:
      OSError: if the file cannot be written.
      ValueError: if matplotlib does not know the format.
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


def _as_float(title: str, samples: ArrayLike) -> np.ndarray:
    """Samples `[T]` as float32 in [-1, 1]."""
    samples = np.asarray(samples)
    if samples.ndim != 1 or not samples.size:
        raise ValueError(f'"{title}" must be a row of samples, and has shape {samples.shape}')
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / 32768
    return samples.astype(np.float32)


def _power_spectrogram(samples: np.ndarray, sample_rate_hz: int, hop_samples: int) -> np.ndarray:
    """Power of samples `[T]`, shape `[1 + n_fft / 2, 1 + T // hop_samples]`."""
    window_samples = max(2, round(WINDOW_S * sample_rate_hz))
    n_fft = 2 ** math.ceil(math.log2(2 * window_samples))
    # librosa warns of recordings shorter than its window.
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


def _tidy(axes: Axes, spines: Sequence[str] = ("left", "bottom")) -> None:
    for name, spine in axes.spines.items():
        spine.set_visible(name in spines)
        spine.set_color(PALE)
    axes.tick_params(colors=INK, labelsize=9)
