"""The Free Spoken Digit Dataset (CC BY-SA 4.0).

Splits by recording index: 0 to 4 are the corpus's official test set, 5 to 9 are
held out as validation, the others train. A copy without the indices 0 to 4 has no
test split, and the same train and validation splits.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.builders import archives
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError

HELD_OUT = {"test": range(5), "validation": range(5, 10)}
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]{1,18})\.wav")


class Builder(FileDatasetBuilder):
    """Clips with `digit`, `text`, `speaker` and `index`; options as every recorded corpus has them.

    The source is the repository, or its `recordings` folder.
    """

    LICENCE = "CC BY-SA 4.0"
    HOMEPAGE = "https://github.com/Jakobovski/free-spoken-digit-dataset"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        if any(source.glob("*.wav")):
            folder = source
        else:
            corpus = "the Free Spoken Digit Dataset"
            folder = archives.root_with(source, "recordings/*.wav", corpus) / "recordings"
        return [_parse(path) for path in sorted(folder.glob("*.wav"))]

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        speakers = sorted({clip.features["speaker"] for clip in clips})
        return {
            "digit": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
            "text": tfds.features.Text(doc="the digit as a word"),
            "speaker": tfds.features.ClassLabel(names=speakers),
            "index": tfds.features.Scalar(np.int64, doc="which of the speaker's takes"),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        splits: dict[str, list[Clip]] = {"train": [], "validation": [], "test": []}
        for clip in clips:
            index = clip.features["index"]
            held_out = (split for split, held in HELD_OUT.items() if index in held)
            splits[next(held_out, "train")].append(clip)
        if not splits["test"]:
            del splits["test"]
        return splits


def _parse(path: pathlib.Path) -> Clip:
    match = NAME.fullmatch(path.name)
    if not match:
        raise DataError(f"{path} is not named {{digit}}_{{speaker}}_{{index}}.wav: move it away")
    features = match.groupdict() | {
        "text": WORDS[int(match["digit"])],
        "index": int(match["index"]),
    }
    return Clip(path, path.name, features)
