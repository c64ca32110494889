"""The CSTR VCTK Corpus, version 0.92 (CC BY 4.0) or 0.80 (ODC-By 1.0), or a part of it.

Read in its own layout: `wav48_silence_trimmed/p225/p225_001_mic1.flac` (0.92, where each
sentence has a file for each of two microphones) or `wav48/p225/p225_001.wav` (0.80), and
`txt/p225/p225_001.txt`. Speaker p315 has no texts: they were lost, and are empty here.
Speakers without recordings by the second microphone are left out where that is asked for.

Splits are by a hash of the sentence's number, so that a sentence that all speakers read (the
numbers up to 024) is in one split for all of them: 5% of the numbers validate, 5% test, the others
train. Every speaker of the whole corpus is in each split, and those of a part with two
sentences or more are in train and validation.
"""

import collections
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data.builders import archives, labels, splitting
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError

MICROPHONES = ("mic1", "mic2")
NAME = re.compile(r"(?P<id>(?P<speaker>[ps]\d+)_(?P<number>\d+))(_(?P<microphone>mic\d))?")


class Builder(FileDatasetBuilder):
    """Sentences with their `speaker` and `text`.

    Options: `microphone`, "mic1" or "mic2" (of version 0.92), and those that every recorded
    corpus has.
    """

    LICENCE = "CC BY 4.0 (version 0.92), ODC-By 1.0 (version 0.80)"
    HOMEPAGE = "https://datashare.ed.ac.uk/handle/10283/3443"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        microphone = self.options["microphone"]
        if microphone not in MICROPHONES:
            raise DataError(f"microphone is {microphone!r}: there are {', '.join(MICROPHONES)}")
        root = archives.root_with(source, "wav48*", "VCTK")
        is_new = (root / "wav48_silence_trimmed").is_dir()
        if not is_new and microphone != MICROPHONES[0]:
            raise DataError(
                f"{root} is version 0.80 of VCTK, which has one microphone: leave out "
                "--microphone, or give it version 0.92"
            )
        folder = root / ("wav48_silence_trimmed" if is_new else "wav48")
        clips = []
        for speaker in sorted(path for path in folder.iterdir() if path.is_dir()):
            paths = sorted(speaker.glob(f"*_{microphone}.flac" if is_new else "*.wav"))
            if not paths:
                self.notices.add(f"without recordings by {microphone}, left out", speaker)
            clips += [self._clip(path, root, is_new) for path in paths]
        if not clips:
            raise DataError(
                f"{folder} holds no recordings by {microphone}: give the other --microphone"
            )
        return clips

    def _clip(self, path: pathlib.Path, root: pathlib.Path, is_new: bool) -> Clip:
        speaker = path.parent.name
        match = NAME.fullmatch(path.stem)
        if not match or match["speaker"] != speaker or bool(match["microphone"]) != is_new:
            pattern = f"{speaker}_{{number}}{'_{microphone}.flac' if is_new else '.wav'}"
            raise DataError(f"{path} is not named {pattern}: move it away")
        text = root / "txt" / speaker / f"{match['id']}.txt"
        lines = labels.lines(text) if text.is_file() else []
        if not lines:
            self.notices.add("without a text", path)
        transcript = " ".join(line for _, line in lines)
        return Clip(path, match["id"], {"speaker": speaker, "text": transcript})

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        speakers = sorted({clip.features["speaker"] for clip in clips})
        return {
            "speaker": tfds.features.ClassLabel(names=speakers),
            "text": tfds.features.Text(doc="transcript; empty where it was lost"),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        by_speaker: dict[str, dict[str, Clip]] = collections.defaultdict(dict)
        for clip in clips:
            by_speaker[clip.features["speaker"]][clip.name.split("_")[1]] = clip
        splits: dict[str, list[Clip]] = {"train": [], "validation": [], "test": []}
        for by_number in by_speaker.values():
            for split, numbers in splitting.by_hash(list(by_number)).items():
                splits[split] += [by_number[number] for number in numbers]
        return {split: part for split, part in splits.items() if part}
