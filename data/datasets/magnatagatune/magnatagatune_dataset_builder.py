"""MagnaTagATune (music CC BY-NC-SA 3.0, of Magnatune): clips of 29 s with tags.

`annotations_final.csv`, with tabs between its columns (`clip_id`, 0 or 1 for each tag,
`mp3_path`), is beside the folders `0` to `f` of the paths. The 50 most frequent tags are kept.
The usual split is by folder: `0` to `b` train, `c` is validation, `d` to `f`
test. Three files of the corpus are empty: build with `skip_bad`.
"""

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data.builders import archives
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError
from data.text_files import text

NUM_TAGS = 50
ANNOTATIONS = "annotations_final.csv"
FOLDERS = "0123456789abcdef"
HELD_OUT = {"c": "validation", "d": "test", "e": "test", "f": "test"}


class Builder(FileDatasetBuilder):
    """Clips with `tags`, any number each."""

    LICENCE = "CC BY-NC-SA 3.0"
    HOMEPAGE = "https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, ANNOTATIONS, "MagnaTagATune")
        table = root / ANNOTATIONS
        try:
            rows = list(csv.reader(io.StringIO(text(table)), delimiter="\t"))
        except csv.Error as error:
            raise DataError(f"{table} is no table ({error}): restore the original file") from None
        if len(rows) < 2 or rows[0][:1] != ["clip_id"] or rows[0][-1] != "mp3_path":
            raise DataError(
                f"{table} does not begin with a line clip_id, tags, mp3_path, with tabs between: "
                "restore the original file"
            )
        names = rows[0][1:-1]
        counts = {
            name: sum(row[j : j + 1] == ["1"] for row in rows[1:])
            for j, name in enumerate(names, 1)
        }
        # Sorting is stable: of tags of one frequency the first columns stay.
        by_frequency = sorted(filter(counts.get, names), key=lambda name: -counts[name])
        self._tags = by_frequency[:NUM_TAGS]
        clips = []
        for i, row in enumerate(rows[1:], start=2):
            name = row[-1] if row else ""
            if len(row) != len(rows[0]) or not name or name[0] not in FOLDERS:
                raise DataError(
                    f"line {i} of {table} has {len(row)} columns and the path {name!r}: it must "
                    f"have {len(rows[0])}, and a path in one of the folders 0 to f"
                )
            has = dict(zip(names, row[1:-1], strict=True))
            tags = [name for name in self._tags if has[name] == "1"]
            path = archives.within(root, name, table)
            if not path.is_file():
                raise DataError(f"{path} is missing, and line {i} of {table} names it: restore it")
            clips.append(Clip(path, name, {"tags": tags}))
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        return {"tags": tfds.features.Sequence(tfds.features.ClassLabel(names=self._tags))}

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        splits: dict[str, list[Clip]] = {"train": [], "validation": [], "test": []}
        for clip in clips:
            splits[HELD_OUT.get(clip.name[0], "train")].append(clip)
        return {split: held for split, held in splits.items() if held}
