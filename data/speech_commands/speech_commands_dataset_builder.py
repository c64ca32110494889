"""The ten digits of Speech Commands v0.02 (CC BY 4.0): SC09.

`WORD/SPEAKER_nohash_TAKE.wav`, beside the official `validation_list.txt` and
`testing_list.txt`, whose lines are such paths; what they do not name trains.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data import archives
from data.errors import DataError
from data.recorded import Clip, RecordedBuilder

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


class Builder(RecordedBuilder):
    """Clips with `digit` and `speaker`, eight hexadecimal digits."""

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, LISTS["validation"], "Speech Commands")
        self._held_out: dict[str, str] = {}
        for split, name in LISTS.items():
            if not (root / name).is_file():
                raise DataError(f"{root / name} is missing: restore the original file")
            lines = (root / name).read_text(encoding="utf-8").split()
            self._held_out |= dict.fromkeys(lines, split)
        clips = []
        for digit in DIGITS:
            for path in sorted((root / digit).glob("*.wav")):
                speaker = path.name.split("_")[0]
                clips.append(
                    Clip(path, f"{digit}/{path.name}", {"digit": digit, "speaker": speaker})
                )
        if not clips:
            raise DataError(f"{root} holds no digits: they lie in its folders {', '.join(DIGITS)}")
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        return {
            "digit": tfds.features.ClassLabel(names=list(DIGITS)),
            "speaker": tfds.features.Text(doc="hash of the speaker"),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        splits: dict[str, list[Clip]] = {"train": [], "validation": [], "test": []}
        for clip in clips:
            splits[self._held_out.get(clip.name, "train")].append(clip)
        return splits
