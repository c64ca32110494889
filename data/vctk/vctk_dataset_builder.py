"""The VCTK Corpus, 0.92 (CC BY 4.0) or 0.80 (ODC-By 1.0, the one of the paper's year).

0.92 holds `wav48_silence_trimmed/p225/p225_001_mic1.flac` and the same of `mic2`, 0.80
`wav48/p225/p225_001.wav`; both `txt/p225/p225_001.txt`. Speaker p315 has no texts, and some
recordings lack the second microphone: such recordings are not of the corpus.

Of every 20 recordings of a speaker, in the order of their numbers, the 10th is held out as
validation and the 20th as test; the others train.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data import archives
from data.errors import DataError
from data.recorded import Clip, RecordedBuilder

HELD_OUT = {9: "validation", 19: "test"}
MICROPHONES = ("mic1", "mic2")


class Builder(RecordedBuilder):
    """Clips with `speaker` and `text`, "" where there is none.

    Options: `microphone`, of 0.92, and those that every recorded corpus has.
    """

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        microphone = self.options["microphone"]
        if microphone not in MICROPHONES:
            raise DataError(
                f"microphone is {microphone!r}: it must be one of {', '.join(MICROPHONES)}"
            )
        root = archives.root_with(source, "wav48*", "VCTK")
        new, old = root / "wav48_silence_trimmed", root / "wav48"
        folder, ending = (new, f"_{microphone}.flac") if new.is_dir() else (old, ".wav")
        clips = []
        for path in sorted(folder.glob(f"*/*{ending}")):
            speaker, name = path.parent.name, path.name.removesuffix(ending)
            text = root / "txt" / speaker / f"{name}.txt"
            words = text.read_text(encoding="utf-8").strip() if text.is_file() else ""
            clips.append(Clip(path, name, {"speaker": speaker, "text": words}))
        if not clips:
            raise DataError(
                f"{folder} holds no recordings: VCTK has them as SPEAKER/SPEAKER_NUMBER{ending}"
            )
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        speakers = sorted({clip.features["speaker"] for clip in clips})
        return {
            "speaker": tfds.features.ClassLabel(names=speakers),
            "text": tfds.features.Text(doc="what is read"),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        splits: dict[str, list[Clip]] = {"train": [], "validation": [], "test": []}
        seen: dict[str, int] = {}
        for clip in clips:
            speaker = clip.features["speaker"]
            seen[speaker] = seen.get(speaker, -1) + 1
            splits[HELD_OUT.get(seen[speaker] % 20, "train")].append(clip)
        return splits
