"""Figures of the study of receptive fields: pitch over time, bits over the receptive field."""

import math
from collections.abc import Sequence

import librosa
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from experiments.common import plots

LOWEST_NOTE = "G3"
HIGHEST_SHARE = 0.9  # of half the sample rate
BINS_PER_OCTAVE = 36
RANGE_DB = 60.0


def notes(pairs: Sequence[tuple[str, ArrayLike]], sample_rate_hz: int) -> Figure:
    """Draws constant-Q transforms of recordings, one below the other.

    36 bins an octave from the violin's lowest string (G3) up to 0.9 of half the sample rate. All
    panels share one level scale, which begins 60 dB below the loudest point.

    Args:
      pairs: title and samples of each recording, `[T]`, as floats in [-1, 1] or as int16.
      sample_rate_hz: samples per second of all the recordings.

    Raises:
      ValueError: there are no recordings, or one has not the shape `[T]`.
    """
    if not pairs:
        raise ValueError("there are no recordings to draw")
    lowest_hz = float(librosa.note_to_hz(LOWEST_NOTE))
    octaves = math.log2(HIGHEST_SHARE * sample_rate_hz / 2 / lowest_hz)
    hop_samples = 2 ** round(math.log2(4 * plots.HOP_S * sample_rate_hz))
    magnitudes = []
    for title, samples in pairs:
        recording = plots.as_float(title, samples)
        # librosa warns about recordings shorter than its windows.
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
    figure = plots.new_figure(9.0, 0.4 + 1.7 * len(pairs))
    panels = figure.subplots(len(pairs), sharex=True, squeeze=False)[:, 0]
    longest_s = max(len(np.asarray(samples)) for _, samples in pairs) / sample_rate_hz
    for panel, (title, _), magnitude in zip(panels, pairs, magnitudes, strict=True):
        level_db = 20 * np.log10(np.maximum(magnitude / loudest, 10 ** (-RANGE_DB / 20)))
        seconds = magnitude.shape[1] * hop_samples / sample_rate_hz
        image = panel.imshow(
            level_db,
            origin="lower",
            aspect="auto",
            cmap=plots.LOUDNESS,
            vmin=-RANGE_DB,
            vmax=0.0,
            extent=(0, seconds, 0, len(level_db) / BINS_PER_OCTAVE),
        )
        panel.set_title(title, loc="left", color=plots.INK, fontsize=10)
        panel.set_yticks(range(int(octaves) + 1))
        panel.set_yticklabels([f"{LOWEST_NOTE[0]}{3 + i}" for i in range(int(octaves) + 1)])
        panel.set_xlim(0, longest_s)
        plots.tidy(panel)
    panels[-1].set_xlabel("time (s)", color=plots.INK)
    plots.level_scale(figure, image, list(panels), 0.6)
    return figure


def bits_by_receptive_field(models: Sequence[tuple[str, float, float]]) -> Figure:
    """Draws held-out bits per sample against the receptive field.

    Args:
      models: the name of each, its receptive field in milliseconds, and its bits per sample.

    Raises:
      ValueError: there are no models.
    """
    if not models:
        raise ValueError("there are no models to draw")
    figure = plots.new_figure(6.5, 3.8)
    axes = figure.add_subplot()
    names, fields_ms, bits = zip(*models, strict=True)
    axes.scatter(fields_ms, bits, color=plots.SERIES_COLOURS[0], s=24)
    for name, at in zip(names, zip(fields_ms, bits, strict=True), strict=True):
        axes.annotate(
            name, at, xytext=(5, 4), textcoords="offset points", color=plots.INK, fontsize=9
        )
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.2)
    axes.set_xlabel("receptive field (ms)", color=plots.INK)
    axes.set_ylabel("held-out bits per sample", color=plots.INK)
    plots.tidy(axes)
    return figure
