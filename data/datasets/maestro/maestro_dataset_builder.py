"""MAESTRO (CC BY-NC-SA 4.0), any version: piano performances.

`maestro-vX.Y.Z.csv` at the root lists the recordings, in a folder for each year, with their
official splits.
"""

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.builders import archives, labels
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError

COLUMNS = ("canonical_composer", "canonical_title", "split", "year", "audio_filename")
SPLITS = ("train", "validation", "test")


class Builder(FileDatasetBuilder):
    """Performances with `composer`, `title` and `year`. They are stereo: build with `mono`."""

    LICENCE = "CC BY-NC-SA 4.0"
    HOMEPAGE = "https://magenta.tensorflow.org/datasets/maestro"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, "maestro-v*.csv", "MAESTRO")
        table = sorted(root.glob("maestro-v*.csv"))[-1]
        rows = list(csv.DictReader(io.StringIO(labels.text(table))))
        if not rows or not rows[0].keys() >= set(COLUMNS):
            raise DataError(f"{table} lacks one of the columns {', '.join(COLUMNS)}: restore it")
        self._split_of: dict[str, str] = {}
        clips = []
        for i, row in enumerate(rows, start=2):
            path = root / row["audio_filename"]
            if not path.is_file():
                raise DataError(f"{path} is missing, and line {i} of {table} names it: restore it")
            if row["split"] not in SPLITS:
                raise DataError(
                    f"line {i} of {table} has the split {row['split']!r}: it must be one of "
                    f"{', '.join(SPLITS)}"
                )
            self._split_of[row["audio_filename"]] = row["split"]
            features = {
                "composer": row["canonical_composer"],
                "title": row["canonical_title"],
                "year": int(row["year"]),
            }
            clips.append(Clip(path, row["audio_filename"], features))
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        composers = sorted({clip.features["composer"] for clip in clips})
        return {
            "composer": tfds.features.ClassLabel(names=composers),
            "title": tfds.features.Text(),
            "year": tfds.features.Scalar(np.int64),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        return {
            split: [clip for clip in clips if self._split_of[clip.name] == split]
            for split in SPLITS
        }
