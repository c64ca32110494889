"""LibriSpeech (CC BY 4.0), whole or in some of its parts.

`LibriSpeech/PART/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac`, and in each chapter's folder
`SPEAKER-CHAPTER.trans.txt` with a line `SPEAKER-CHAPTER-NUMBER TEXT` for each recording. The
parts `train-*` train, `dev-*` are validation, `test-*` test. Where parts of one kind alone are
there, as in any of its archives, chapters are split by a hash (`splitting.by_hash`).
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data import archives, splitting
from data.errors import DataError
from data.recorded import Clip, RecordedBuilder

SPLITS = {"train": "train", "dev": "validation", "test": "test"}


class Builder(RecordedBuilder):
    """Clips with `speaker`, `chapter`, `text`, in capitals, and `part`."""

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, "*-*/*/*/*.trans.txt", "LibriSpeech")
        clips = []
        for path in sorted(root.glob("*-*/*/*/*.trans.txt")):
            part, speaker, chapter = path.relative_to(root).parts[:3]
            if part.split("-")[0] not in SPLITS:
                raise DataError(
                    f"{path.parents[2]} is no part of LibriSpeech: these are train-*, dev-*, test-*"
                )
            for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                name, _, text = line.partition(" ")
                recording = path.parent / f"{name}.flac"
                if not text.strip() or not recording.is_file():
                    raise DataError(
                        f"line {i} of {path} is {line[:60]!r}: it must be the name of a recording "
                        "beside it, without .flac, and its text"
                    )
                known = {"speaker": speaker, "chapter": chapter, "text": text, "part": part}
                clips.append(Clip(recording, name, known))
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        speakers = sorted({clip.features["speaker"] for clip in clips}, key=int)
        return {
            "speaker": tfds.features.ClassLabel(names=speakers),
            "chapter": tfds.features.Text(),
            "text": tfds.features.Text(doc="what is read, in capitals"),
            "part": tfds.features.Text(doc="such as train-clean-100"),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        kinds = {clip.features["part"].split("-")[0] for clip in clips}
        if len(kinds) == 1:
            chapters = list(dict.fromkeys(clip.features["chapter"] for clip in clips))
            if len(chapters) < 2:
                raise DataError(
                    f"{self.options['source']} holds a single chapter: give a whole part of "
                    "LibriSpeech, such as train-clean-100"
                )
            return {
                split: [clip for clip in clips if clip.features["chapter"] in held]
                for split, held in splitting.by_hash(chapters).items()
            }
        splits: dict[str, list[Clip]] = {
            split: [] for kind, split in SPLITS.items() if kind in kinds
        }
        for clip in clips:
            splits[SPLITS[clip.features["part"].split("-")[0]]].append(clip)
        return splits
