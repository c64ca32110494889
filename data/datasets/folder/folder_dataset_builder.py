"""A corpus from any folder of recordings, through links to folders.

Recordings go to splits by a hash of their paths within the folder (`splitting.by_hash`).
A single recording is cut: its last `LAST_SHARE` is the validation split, the rest before
it the train split.
"""

import csv
import io
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data.audio import reading
from data.builders.base import Example
from data.builders.files import files_below
from data.builders.labels import text
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError

LAST_SHARE = 0.1


class Builder(FileDatasetBuilder):
    """Options: `labels`, and those that every recorded corpus has.

    `labels` is "none", "folders" (the name of the folder within `source` that
    holds the recording, at any depth below) or a CSV file with the columns
    `path` (within `source`) and `label`.
    """

    LICENCE = "that of the recordings"
    HOMEPAGE = ""

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        paths = {path.relative_to(source).as_posix(): path for path in _find(source, self.notices)}
        labels = labels_of(list(paths), self.options["labels"])
        return [
            Clip(path, name, {"label": labels[name]} if labels else {})
            for name, path in paths.items()
        ]

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        classes = sorted({clip.features["label"] for clip in clips if clip.features})
        return {"label": tfds.features.ClassLabel(names=classes)} if classes else {}

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        if len(clips) == 1:  # which `_split_generators` cuts
            return {"train": clips, "validation": clips}
        return super()._splits(clips)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Example]]:
        splits = super()._split_generators(dl_manager)
        if self._planned["train"] is not self._planned["validation"]:
            return splits
        whole = next(splits["train"])
        cut = len(whole["audio"]) - max(1, int(LAST_SHARE * len(whole["audio"])))
        return {
            "train": iter([whole | {"audio": whole["audio"][:cut]}]),
            "validation": iter([whole | {"audio": whole["audio"][cut:], "start": cut}]),
        }


def labels_of(names: Sequence[str], labels: str) -> dict[str, str]:
    """Each recording's class; empty where `labels` is "none".

    Raises:
      DataError: a recording without a class, or a CSV file that cannot be used.
    """
    if labels == "none":
        return {}
    if labels == "folders":
        for name in names:
            if "/" not in name:
                raise DataError(
                    f"{name} lies in no sub-folder to take its label from: move it into one, or "
                    "use --labels=none"
                )
        return {name: name.split("/")[0] for name in names}
    path = pathlib.Path(labels)
    if not path.is_file():
        raise DataError(f"--labels={labels} is neither none, folders nor a CSV file: check it")
    rows = list(csv.DictReader(io.StringIO(text(path))))
    if not rows or not {"path", "label"} <= rows[0].keys():
        raise DataError(f"{path} needs a header line with path,label and a row a recording")
    table = {row["path"]: row["label"] for row in rows}
    for name in names:
        if not table.get(name):
            raise DataError(f"{path} gives no label to {name}: add a row for it")
    unknown = sorted(table.keys() - set(names))
    if unknown:
        raise DataError(
            f"{path} labels {unknown[0]}, which is no recording of the folder ({len(unknown)} "
            "such rows): correct or remove it"
        )
    return {name: table[name] for name in names}


def _find(source: pathlib.Path, notices: reading.Notices) -> list[pathlib.Path]:
    """The recordings below a folder in the order of their paths; `notices` names other files."""
    if not source.is_dir():
        raise DataError(f"--source={source} is not a folder: check the path")
    found = []
    for path in files_below(source, notices):
        if path.suffix.lower() in reading.EXTENSIONS and not path.name.startswith("."):
            found.append(path)
        else:
            notices.add("ignored, no wav, flac, ogg, opus or mp3 by its name", path)
    if not found:
        raise DataError(
            f"--source={source} holds no recordings ({', '.join(reading.EXTENSIONS)}): "
            "check the path"
        )
    return found
