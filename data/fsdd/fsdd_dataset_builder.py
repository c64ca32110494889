"""The Free Spoken Digit Dataset (CC BY-SA 4.0), from a copy on disk.

Splits by recording index: 0 to 4 are the corpus's official test set, 5 to 9 are
held out as validation, the others train. A copy without the indices 0 to 4 has no
test split, and the same train and validation splits.
"""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from data import audio
from data.builder import Example, RecordingBuilder
from data.errors import DataError

SAMPLE_RATE_HZ = 8000
HELD_OUT = {"test": range(5), "validation": range(5, 10)}
NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<index>\d+)\.wav")


class Builder(RecordingBuilder):
    """Options: `source`, the repository's root or its `recordings` folder."""

    def _info(self) -> tfds.core.DatasetInfo:
        root = pathlib.Path(self.options["source"])
        source = root / "recordings" if (root / "recordings").is_dir() else root
        if not source.is_dir():
            raise DataError(f"--source={source} is not a folder: check the path")
        self._clips = [_parse(path) for path in sorted(source.glob("*.wav"))]
        if not self._clips:
            raise DataError(
                f"--source={source} holds no wav files: give the root of the "
                "free-spoken-digit-dataset repository"
            )
        speakers = sorted({clip["speaker"] for clip in self._clips})
        return self._recordings_info(
            {
                "digit": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                "speaker": tfds.features.ClassLabel(names=speakers),
                "index": tfds.features.Scalar(np.int64, doc="which of the speaker's takes"),
            },
            sample_rate_hz=SAMPLE_RATE_HZ,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Example]]:
        splits: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
        for clip in self._clips:
            held_out = (split for split, held in HELD_OUT.items() if clip["index"] in held)
            splits[next(held_out, "train")].append(clip)
        if not splits["test"]:
            del splits["test"]
        return {split: self._recordings(split, clips) for split, clips in splits.items()}

    def _recordings(self, split: str, clips: list[Example]) -> Iterator[Example]:
        for clip in tqdm.tqdm(clips, desc=split, unit=" recordings"):
            path = clip["path"]
            samples, rate = audio.read(path, notices=self.notices)
            if rate != SAMPLE_RATE_HZ:
                raise DataError(
                    f"{path} has {rate} Hz where the corpus has {SAMPLE_RATE_HZ}: restore the "
                    "original file"
                )
            labels = {key: clip[key] for key in ("digit", "speaker", "index")}
            yield {"audio": samples, "recording": path.name, "start": 0, **labels}


def _parse(path: pathlib.Path) -> Example:
    match = NAME.fullmatch(path.name)
    if not match:
        raise DataError(f"{path} is not named {{digit}}_{{speaker}}_{{index}}.wav: move it away")
    return match.groupdict() | {"index": int(match["index"]), "path": path}
