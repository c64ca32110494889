"""LibriSpeech (CC BY 4.0, https://www.openslr.org/12), or some of its subsets.

Read in its own layout: `LibriSpeech/train-clean-100/84/121123/84-121123-0000.flac`, by subset,
speaker and chapter, beside `84-121123.trans.txt` with a line `84-121123-0000 THE TRANSCRIPT` for
each utterance.

The subsets `train-*` train, `dev-*` validate and `test-*` test; no speaker is in two of them.
A source with one of the three kinds alone is split by a hash of the utterances' names
(`splitting.by_hash`), and a speaker is then in more than one split.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.builders import archives, labels
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError

SPLITS = {"train": "train", "dev": "validation", "test": "test"}
LISTS = "*-*/*/*/*.trans.txt"


class Builder(FileDatasetBuilder):
    """Utterances with their `speaker`, `chapter`, `subset` and `text`.

    Options as every recorded corpus has them.
    """

    LICENCE = "CC BY 4.0"
    HOMEPAGE = "https://www.openslr.org/12"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, LISTS, "LibriSpeech")
        clips = [clip for path in sorted(root.glob(LISTS)) for clip in _chapter(path)]
        if not clips:
            raise DataError(f"{root} has no transcripts in train-*, dev-* or test-*: restore them")
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        speakers, subsets = (
            {clip.features[name] for clip in clips} for name in ("speaker", "subset")
        )
        return {
            "speaker": tfds.features.ClassLabel(names=sorted(speakers, key=int)),
            "chapter": tfds.features.Scalar(np.int64, doc="number of the chapter at LibriVox"),
            "subset": tfds.features.ClassLabel(names=sorted(subsets)),
            "text": tfds.features.Text(doc="transcript, in capitals without punctuation"),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        splits: dict[str, list[Clip]] = {}
        for kind, split in SPLITS.items():
            part = [clip for clip in clips if clip.features["subset"].startswith(f"{kind}-")]
            if part:
                splits[split] = part
        return splits if len(splits) > 1 else super()._splits(clips)


def _chapter(path: pathlib.Path) -> list[Clip]:
    """The utterances that a transcript lists."""
    subset, speaker, chapter = path.parts[-4:-1]
    if subset.split("-")[0] not in SPLITS:
        return []
    if not all(re.fullmatch("[0-9]{1,18}", number) for number in (speaker, chapter)):
        raise DataError(f"{path} is not in SPEAKER/CHAPTER, two numbers: move it away")
    clips = []
    for i, line in labels.lines(path):
        name, _, text = line.partition(" ")
        if name.split("-")[:-1] != [speaker, chapter] or not text:
            raise DataError(
                f"line {i} of {path} is {line[:60]!r}: it must be {speaker}-{chapter}-{{number}} "
                "and a transcript"
            )
        recording = archives.within(path.parent, f"{name}.flac", path)
        if not recording.is_file():
            raise DataError(
                f"{recording} is missing, and line {i} of {path.name} names it: restore it, or "
                "remove the line"
            )
        features = {
            "speaker": speaker,
            "chapter": int(chapter),
            "subset": subset,
            "text": text.strip(),
        }
        clips.append(Clip(recording, name, features))
    return clips
