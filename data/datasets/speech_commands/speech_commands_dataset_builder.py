"""SC09: the ten digits of Speech Commands v0.02 (CC BY 4.0, https://arxiv.org/abs/1804.03209).

Read in its own layout: `zero/004ae714_nohash_0.wav`, a folder for each word and a file for each
speaker and take, beside `validation_list.txt` and `testing_list.txt`, which name the clips that
validate and test; the others train, and no speaker is in two splits. Other words and the
background noises are left out.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data.builders import archives, labels
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
NAME = re.compile(r"(?P<speaker>[0-9a-f]+)_nohash_\d+\.wav")


class Builder(FileDatasetBuilder):
    """Clips with `digit` and `speaker`; options as every recorded corpus has them."""

    LICENCE = "CC BY 4.0"
    HOMEPAGE = "https://arxiv.org/abs/1804.03209"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, LISTS["validation"], "Speech Commands")
        self._held_out = {
            split: {line for _, line in labels.lines(root / name)} for split, name in LISTS.items()
        }
        clips = []
        for digit in DIGITS:
            paths = sorted((root / digit).glob("*.wav"))
            if not paths:
                raise DataError(f"{root / digit} holds no recordings: restore it from the corpus")
            clips += [_parse(path, digit) for path in paths]
        _check_whole(root, self._held_out, {clip.name for clip in clips})
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        return {
            "digit": tfds.features.ClassLabel(names=list(DIGITS)),
            "speaker": tfds.features.Text(doc="hash that stands for who speaks"),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        splits: dict[str, list[Clip]] = {"train": [], "validation": [], "test": []}
        for clip in clips:
            held_out = (split for split, names in self._held_out.items() if clip.name in names)
            splits[next(held_out, "train")].append(clip)
        return splits


def _parse(path: pathlib.Path, digit: str) -> Clip:
    match = NAME.fullmatch(path.name)
    if not match:
        raise DataError(f"{path} is not named {{speaker}}_nohash_{{take}}.wav: move it away")
    return Clip(path, f"{digit}/{path.name}", {"digit": digit, "speaker": match["speaker"]})


def _check_whole(root: pathlib.Path, held_out: Mapping[str, set[str]], names: set[str]) -> None:
    """Refuses lists whose clips are not there, by which a copy in part shows."""
    for split, listed in held_out.items():
        digits = {name for name in listed if name.split("/")[0] in DIGITS}
        missing = sorted(digits - names)
        if missing:
            raise DataError(
                f"{root / missing[0]} is missing, and {LISTS[split]} names it ({len(missing)} "
                "such lines): restore it, or remove its line"
            )
