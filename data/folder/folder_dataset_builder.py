"""A corpus from any folder of recordings.

Each recording goes to a split by a hash of its path within the folder, so that
adding recordings moves none of the others: `SHARES` to validation and to test,
the rest to train. Where chance leaves train or validation empty, the recording
nearest to the border moves there. A single recording is cut: its last
`LAST_SHARE` is the validation split, the rest before it the train split.
"""

import collections
import csv
import hashlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow_datasets as tfds
import tqdm
from absl import logging

from data import audio
from data.builder import Example, RecordingBuilder
from data.errors import DataError

SHARES = {"validation": 0.05, "test": 0.05}
LAST_SHARE = 0.1


class Builder(RecordingBuilder):
    """Options: `source`, `sample_rate_hz`, `mono`, `labels` and `skip_bad`.

    `labels` is "none", "folders" (the name of the folder within `source` that
    holds the recording, at any depth below) or a CSV file with the columns
    `path` (within `source`) and `label`. `skip_bad` drops recordings that cannot
    be used, saying which and why, where otherwise the first stops the build.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        source = pathlib.Path(self.options["source"])
        self._paths = self._usable(_find(source, self.notices))
        header = audio.common_header(
            self._paths,
            any_rate=self.options["sample_rate_hz"] is not None,
            any_channels=self.options["mono"],
        )
        if header.channels > 1 and not self.options["mono"]:
            raise DataError(
                f"{self._paths[0]} has {header.channels} channels: mix them to one with --mono"
            )
        names = [path.relative_to(source).as_posix() for path in self._paths]
        self._labels = labels_of(names, self.options["labels"])
        features = {}
        if self._labels:
            classes = sorted(set(self._labels.values()))
            features["label"] = tfds.features.ClassLabel(names=classes)
        return self._recordings_info(
            features, sample_rate_hz=self.options["sample_rate_hz"] or header.sample_rate_hz
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Example]]:
        source = pathlib.Path(self.options["source"])
        by_name = {path.relative_to(source).as_posix(): path for path in self._paths}
        if len(by_name) == 1:
            ((name, path),) = by_name.items()
            (whole,) = self._recordings("reading", {name: path})
            cut = len(whole["audio"]) - max(1, int(LAST_SHARE * len(whole["audio"])))
            return {
                "train": iter([whole | {"audio": whole["audio"][:cut]}]),
                "validation": iter([whole | {"audio": whole["audio"][cut:], "start": cut}]),
            }
        return {
            split: self._recordings(split, {name: by_name[name] for name in names})
            for split, names in splits_of(list(by_name)).items()
        }

    def _recordings(self, title: str, by_name: dict[str, pathlib.Path]) -> Iterator[Example]:
        for name, path in tqdm.tqdm(by_name.items(), desc=title, unit=" recordings"):
            label = {"label": self._labels[name]} if self._labels else {}
            yield {"audio": self._read(path), "recording": name, "start": 0, **label}

    def _read(self, path: pathlib.Path) -> Any:
        samples, _ = audio.read(
            path,
            sample_rate_hz=self.options["sample_rate_hz"],
            mono=self.options["mono"],
            notices=self.notices,
        )
        return samples

    def _usable(self, paths: list[pathlib.Path]) -> list[pathlib.Path]:
        """All paths; with `skip_bad`, those that can be read to their end."""
        if not self.options["skip_bad"]:
            return paths
        usable = []
        for path in tqdm.tqdm(paths, desc="checking", unit=" recordings"):
            try:
                audio.read(path, mono=True, notices=audio.Notices())
                usable.append(path)
            except DataError as error:
                logging.warning("dropped: %s", error)
        logging.warning("dropped %d of %d recordings", len(paths) - len(usable), len(paths))
        if not usable:
            raise DataError(f"{self.options['source']} holds no usable recording: add some")
        return usable


def splits_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Assigns two or more recordings to splits, each kept in the given order.

    Returns:
      Non-empty splits; train and validation are always among them.
    """
    place = {name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 for name in names}
    border = SHARES["validation"]
    validation = {name for name in names if place[name] < border}
    test = {name for name in names if border <= place[name] < border + SHARES["test"]}
    if not validation:
        nearest = min(names, key=place.__getitem__)
        validation, test = {nearest}, test - {nearest}
    if len(validation | test) == len(names):
        farthest = max(names, key=place.__getitem__)
        validation, test = validation - {farthest}, test - {farthest}
    splits: dict[str, list[str]] = collections.defaultdict(list)
    for name in names:
        splits["validation" if name in validation else "test" if name in test else "train"].append(
            name
        )
    return {split: splits[split] for split in ("train", "validation", "test") if splits[split]}


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
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
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


def _find(source: pathlib.Path, notices: audio.Notices) -> list[pathlib.Path]:
    """The recordings below a folder in the order of their names; others are said aloud."""
    if not source.is_dir():
        raise DataError(f"--source={source} is not a folder: check the path")
    found = []
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        if path.suffix.lower() in audio.EXTENSIONS and not path.name.startswith("."):
            found.append(path)
        else:
            notices.add("ignored, no wav, flac, ogg, opus or mp3 by its name", path)
    if not found:
        raise DataError(
            f"--source={source} holds no recordings ({', '.join(audio.EXTENSIONS)}): check the path"
        )
    return found
