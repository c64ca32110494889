"""NSynth (CC BY 4.0), whole or in some of its parts.

Folders `nsynth-train`, `nsynth-valid` and `nsynth-test`, each with the labels of its notes in
`examples.json` and `audio/NOTE.wav`. Train shares no instrument with the others. The
instruments of a single part, as in each archive, are split by a hash (`splitting.by_hash`).
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.builders import archives, splitting
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError
from data.text_files import json_object

PARTS = {"nsynth-train": "train", "nsynth-valid": "validation", "nsynth-test": "test"}
LABELS = ("instrument_str", "instrument_family_str", "instrument_source_str")
NUM_PITCHES = 128


class Builder(FileDatasetBuilder):
    """Notes with `pitch` (a MIDI number as a class), `velocity`, `instrument`,
    `instrument_family` and `instrument_source`."""

    LICENCE = "CC BY 4.0"
    HOMEPAGE = "https://magenta.tensorflow.org/datasets/nsynth"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        if (source / "examples.json").is_file():
            folders = [source]
        else:
            root = archives.root_with(source, "nsynth-*/examples.json", "NSynth")
            folders = [root / part for part in PARTS if (root / part / "examples.json").is_file()]
        clips = []
        for folder in folders:
            for note, features in _notes(folder / "examples.json").items():
                path = archives.within(folder / "audio", f"{note}.wav", folder / "examples.json")
                if not path.is_file():
                    raise DataError(f"{path} is missing, and examples.json names it: restore it")
                clips.append(Clip(path, note, features))
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        def classes(name: str) -> tfds.features.ClassLabel:
            return tfds.features.ClassLabel(names=sorted({clip.features[name] for clip in clips}))

        return {
            "pitch": tfds.features.ClassLabel(names=[str(i) for i in range(NUM_PITCHES)]),
            "velocity": tfds.features.Scalar(np.int64, doc="of MIDI, 0 to 127"),
            "instrument": classes("instrument"),
            "instrument_family": classes("instrument_family"),
            "instrument_source": classes("instrument_source"),
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        splits: dict[str, list[Clip]] = {}
        for part, split in PARTS.items():
            if held := [clip for clip in clips if clip.path.parents[1].name == part]:
                splits[split] = held
        if len(splits) > 1:
            return splits
        instruments = sorted({clip.features["instrument"] for clip in clips})
        if len(instruments) < 2:
            raise DataError(
                f"{self.options['source']} holds a single instrument: give a whole part of NSynth"
            )
        return {
            split: [clip for clip in clips if clip.features["instrument"] in held]
            for split, held in splitting.by_hash(instruments).items()
        }


def _notes(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The labels of each note, in the order of the notes' names.

    Raises:
      DataError: the file is not laid out as NSynth's.
    """
    named = json_object(path)
    try:
        notes = {
            note: {
                "pitch": str(_of_midi(labels["pitch"])),
                "velocity": _of_midi(labels["velocity"]),
                **{name.removesuffix("_str"): str(labels[name]) for name in LABELS},
            }
            for note, labels in sorted(named.items())
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is not laid out as NSynth's ({type(error).__name__}: {error}): restore it"
        ) from None
    if not notes:
        raise DataError(f"{path} names no notes: restore the original file")
    return notes


def _of_midi(value: object) -> int:
    if type(value) is not int or not 0 <= value < NUM_PITCHES:
        raise ValueError(f"{value!r:.60} is no number from 0 to 127")
    return value
