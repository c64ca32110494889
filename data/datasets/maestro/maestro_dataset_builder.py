"""MAESTRO (CC BY-NC-SA 4.0), any version: piano performances.

`maestro-vX.Y.Z.csv` at the root lists the recordings, in a folder for each year, with their
official splits.
"""

import csv
import io
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.builders import archives
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError
from data.text_files import text

COLUMNS = ("canonical_composer", "canonical_title", "split", "year", "audio_filename")
SPLITS = ("train", "validation", "test")


class Builder(FileDatasetBuilder):
    """Performances with `composer`, `title` and `year`. They are stereo: build with `mono`."""

    LICENCE = "CC BY-NC-SA 4.0"
    HOMEPAGE = "https://magenta.tensorflow.org/datasets/maestro"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, "maestro-v*.csv", "MAESTRO")
        table = sorted(root.glob("maestro-v*.csv"))[-1]
        rows = read_rows(table)
        self._split_of: dict[str, str] = {}
        clips = []
        for i, row in enumerate(rows, start=2):
            path = archives.within(root, row["audio_filename"], table)
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
                "year": _year(row["year"], f"line {i} of {table}"),
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


def read_rows(table: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a list of recordings, each with all `COLUMNS`.

    Raises:
      DataError: it is no such table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(text(table))))
    except csv.Error as error:
        raise DataError(f"{table} is not CSV ({error}): restore it") from None
    if not rows or not all(isinstance(row.get(name), str) for row in rows for name in COLUMNS):
        raise DataError(f"{table} lacks one of the columns {', '.join(COLUMNS)}: restore it")
    return rows


def _year(written: str, where: str) -> int:
    if not re.fullmatch("[0-9]{4}", written):
        raise DataError(f"{where} has the year {written[:60]!r}: it must be four digits")
    return int(written)
