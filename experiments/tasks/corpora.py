"""Corpora: building one, and the figures that describe one."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import librosa
import numpy as np
from tqdm import tqdm

import data
from data.audio import reading
from experiments.common import plots
from experiments.common.model import labels_of, model_config, receptive_field_of
from experiments.configs.schema import ExperimentConfig

NUM_EXAMPLES = 6
EXAMPLE_S = 4.0
FRAME_S = 0.025
SILENCE_DB = 40.0
SHOWN_CLASSES = 4


def prepare(name: str, *, data_dir: os.PathLike[str] | str, **options: Any) -> str:
    """Builds a corpus and describes it.

    Args:
      name: One of `data.OPTIONS`.
      data_dir: Folder of corpora.
      **options: As `data.OPTIONS[name]` lists them, and `num_workers` and `beam_options` of
        `data.build`.

    Returns:
      Recordings, duration and rate of each split, the labels, and the licence and source, a
      line each.

    Raises:
      data.DataError: the input cannot be used; nothing is left behind.
    """
    folder = data.build(name, data_dir=data_dir, **options)
    lines = [f"{name} in {folder}"]
    for split in data.splits(name, data_dir):
        corpus = data.load(name, data_dir, split)
        hours = corpus.lengths.sum() / corpus.sample_rate_hz / 3600
        lines.append(
            f"  {split}: {len(corpus)} recordings, {hours:.3f} h at {corpus.sample_rate_hz} Hz"
        )
    for label, classes in corpus.class_names.items():
        short = [name if len(name) <= 24 else f"{name[:21]}..." for name in classes[:12]]
        shown = ", ".join(short) + (", ..." if len(classes) > 12 else "")
        lines.append(f"  {label}: {len(classes)} classes ({shown})")
    lines.append(f"  licence: {corpus.licence}" + f" ({corpus.homepage})" * bool(corpus.homepage))
    return "\n".join(lines)


def split_figures(corpus: data.Corpus) -> dict[str, Any]:
    """Figures of a split.

    Returns:
      `recordings`; `hours`; `seconds`, the shortest, the median and the longest recording;
      `peak_db`, of full scale, the median and the highest; `clipped`, recordings with at
      least `reading.CLIPPED_SHARE` of their samples at full scale; `silence`, the share of
      frames of 25 ms more than 40 dB below the loudest of their recording; and `labels`,
      by label the number of recordings of each class.
    """
    seconds = corpus.lengths / corpus.sample_rate_hz
    frame = max(1, round(FRAME_S * corpus.sample_rate_hz))
    peaks, clipped, silent, frames = [], 0, 0, 0
    for i in tqdm(range(len(corpus)), desc=corpus.split, unit=" recordings", file=sys.stderr):
        samples = corpus.recording(i)["audio"]
        peaks.append(reading.peak_db(samples))
        clipped += reading.is_clipped(samples)
        # No frame is shorter than the others, whose energy would not compare.
        padded = np.pad(samples.astype(np.float32), (0, max(0, frame - len(samples))))
        energy = librosa.feature.rms(
            y=padded, frame_length=frame, hop_length=frame, center=False
        ).ravel()
        silent += int(np.count_nonzero(energy < energy.max() * 10 ** (-SILENCE_DB / 20)))
        frames += len(energy)
    return {
        "recordings": len(corpus),
        "hours": float(seconds.sum() / 3600),
        "seconds": [float(f(seconds)) for f in (np.min, np.median, np.max)],
        "peak_db": [float(f(peaks)) for f in (np.median, np.max)],
        "clipped": clipped,
        "silence": silent / frames,
        "labels": _balance(corpus),
    }


def _balance(corpus: data.Corpus) -> dict[str, dict[str, int]]:
    """Recordings of each class, of the labels that are not labels in time."""
    balance = {}
    # `phones` and `phone_stress` are at `phone_starts`.
    recording = corpus.recording(0)
    timed = [key.removesuffix("_starts") for key in recording if key.endswith("_starts")]
    for label, classes in corpus.class_names.items():
        if label not in recording or label.startswith(tuple(timed)):
            continue
        of_each = [np.atleast_1d(corpus.label(i, label)) for i in range(len(corpus))]
        counts = np.bincount(np.concatenate(of_each), minlength=len(classes))
        balance[label] = dict(zip(classes, counts.tolist(), strict=True))
    return balance


def field_figures(config: ExperimentConfig, corpus: data.Corpus) -> dict[str, float]:
    """The receptive field of a config's model on a corpus.

    Returns:
      `samples`; `milliseconds` at the corpus's rate; `share_of_median`, of the corpus's
      median recording.

    Raises:
      InputError, data.DataError: the config does not fit itself, or the corpus.
    """
    classes = {label: corpus.class_names.get(label, ()) for label in labels_of(config)}
    for label, names in classes.items():
        if not names:
            corpus.label(0, label)  # which raises that there is no such label
    model = model_config(config, classes, corpus.questions)
    samples = receptive_field_of(model)
    return {
        "samples": samples,
        "milliseconds": 1000 * samples / corpus.sample_rate_hz,
        "share_of_median": samples / float(np.median(corpus.lengths)),
    }


def described(figures: Mapping[str, Any]) -> str:
    """Figures of `describe_corpus` as lines to read."""
    lines = [f"{figures['dataset']}, {figures['sample_rate_hz']} Hz, licence: {figures['licence']}"]
    for split, part in figures["splits"].items():
        shortest, median, longest = part["seconds"]
        usual_db, highest_db = part["peak_db"]
        lines += [
            f"{split}: {part['recordings']} recordings, {part['hours']:.3f} h, each "
            f"{shortest:.2f} to {longest:.2f} s (median {median:.2f})",
            f"  peaks {usual_db:.1f} dB (median), {highest_db:.1f} dB (highest); clipped: "
            f"{part['clipped']}; silence: {part['silence']:.1%} of the time",
        ]
        for label, counts in part["labels"].items():
            rarest = sorted(counts, key=counts.__getitem__)
            shown = ", ".join(f"{name} {counts[name]}" for name in rarest[:SHOWN_CLASSES])
            lines.append(
                f"  {label}: {len(counts)} classes of {min(counts.values())} to "
                f"{max(counts.values())} recordings; the rarest: {shown}"
            )
    if field := figures.get("receptive_field"):
        lines.append(
            f"receptive field: {field['samples']} samples, {field['milliseconds']:.0f} ms, "
            f"{field['share_of_median']:.0%} of the median recording"
        )
    return "\n".join(lines)


def describe_corpus(
    name: str,
    data_dir: str | os.PathLike[str],
    *,
    config: ExperimentConfig | None = None,
    picture: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Figures of a corpus, and a picture of a few recordings of the first split.

    Args:
      name: of the corpus.
      data_dir: folder of corpora.
      config: of a model whose receptive field is computed.
      picture: file to draw to.

    Returns:
      `dataset`, `sample_rate_hz`, `licence`; with a config `receptive_field`, of
      `field_figures`; and `splits`, by name those of `split_figures`.

    Raises:
      InputError, data.DataError: bad input.
    """
    corpora = {split: data.load(name, data_dir, split) for split in data.splits(name, data_dir)}
    first = next(iter(corpora.values()))
    figures: dict[str, Any] = {"dataset": name, "sample_rate_hz": first.sample_rate_hz}
    figures["licence"] = first.licence
    if config is not None:
        figures["receptive_field"] = field_figures(config, first)
    figures["splits"] = {split: split_figures(corpus) for split, corpus in corpora.items()}
    if picture is not None:
        chosen = np.unique(np.linspace(0, len(first) - 1, NUM_EXAMPLES).round().astype(int))
        length = round(EXAMPLE_S * first.sample_rate_hz)
        pairs = [
            (first.names[i], first.samples(i, 0, min(length, int(first.lengths[i]))))
            for i in chosen
        ]
        plots.save(plots.spectrograms(pairs, first.sample_rate_hz), picture)
    return figures
