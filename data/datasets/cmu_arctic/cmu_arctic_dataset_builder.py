"""CMU ARCTIC (free for any use, http://festvox.org/cmu_arctic): one speaker or several.

Read in its own layout: `cmu_us_slt_arctic/wav/arctic_a0001.wav`, `etc/txt.done.data` with a
line `( arctic_a0001 "The transcript." )` for each sentence, and `lab/arctic_a0001.lab`, with
lines `end_s 125 phone` after a line `#`. The source is such a folder, a folder of them, or an
archive. Recordings without a text, of which some speakers have a few, are left out, and so
are labels of zero length.

Sentences go to splits by a hash of their ids (`splitting.by_hash`), so that each is in one
split for all speakers.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.builders import archives, labels, splitting
from data.builders.labels import TimedLabel
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError

TEXTS = "etc/txt.done.data"
TEXT = re.compile(r'\(\s*(?P<id>\S+)\s+"(?P<text>.+)"\s*\)')
SPEAKER = re.compile(r"cmu_us_(\w+)_arctic.*")
LABEL = re.compile(r"(?P<end_s>[0-9]{1,15}(\.[0-9]*)?)\s+\d+\s+(?P<name>[^\s;]+)(\s*;.*)?")


class Builder(FileDatasetBuilder):
    """Sentences with their `speaker` and `text`.

    Where every sentence has labels, also with `phones`, which tile it up to the end of the
    last, and `phone_starts` and `phone_ends`, in samples. Options as every recorded
    corpus has them, but for `trim_db`.
    """

    LICENCE = "free for any use with its notice kept (each speaker's COPYING)"
    HOMEPAGE = "http://festvox.org/cmu_arctic"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        own = [source] if (source / TEXTS).is_file() else []
        folders = own or sorted(path.parents[1] for path in source.glob(f"*/{TEXTS}"))
        clips = [clip for folder in folders for clip in self._of_speaker(folder)]
        if not clips:
            needed = f"cmu_us_slt_arctic/{TEXTS} and cmu_us_slt_arctic/wav/*.wav"
            raise archives.wrong_layout(source, needed, "CMU ARCTIC")
        unlabelled = [clip for clip in clips if not _label_path(clip).is_file()]
        self._has_labels = not unlabelled
        if unlabelled and len(unlabelled) < len(clips):
            for clip in unlabelled:
                self.notices.add("without phone labels, so that none are read", clip.path)
        return clips

    def _of_speaker(self, folder: pathlib.Path) -> list[Clip]:
        match = SPEAKER.fullmatch(folder.name)
        speaker = match[1] if match else folder.name
        texts = _texts(folder / TEXTS)
        clips = []
        for path in sorted(folder.glob("wav/*.wav")):
            if path.stem in texts:
                features = {"speaker": speaker, "text": texts[path.stem]}
                clips.append(Clip(path, f"{speaker}/{path.stem}", features))
            else:
                self.notices.add("without a text, left out", path)
        return clips

    def _labelled(self, clip: Clip) -> Clip:
        if not self._has_labels:
            return clip
        path = _label_path(clip)
        spans = _spans(path)
        labels.check(path, spans, labels.length_s(clip.path), tile=True)
        features, times_s = labels.features("phone", spans)
        return dataclasses.replace(clip, features={**clip.features, **features}, times_s=times_s)

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        speakers = sorted({clip.features["speaker"] for clip in clips})
        features = {
            "speaker": tfds.features.ClassLabel(names=speakers),
            "text": tfds.features.Text(doc="transcript"),
        }
        if not self._has_labels:
            return features
        phones = sorted({phone for clip in clips for phone in clip.features["phones"]})
        positions = tfds.features.Tensor(shape=(None,), dtype=np.int64)
        return features | {
            "phones": tfds.features.Sequence(tfds.features.ClassLabel(names=phones)),
            "phone_starts": positions,
            "phone_ends": positions,
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        ids = sorted({clip.path.stem for clip in clips})
        splits = splitting.by_hash(ids)
        split_of = {id_: split for split, held in splits.items() for id_ in held}
        return {
            split: [clip for clip in clips if split_of[clip.path.stem] == split] for split in splits
        }


def _label_path(clip: Clip) -> pathlib.Path:
    return clip.path.parents[1] / "lab" / f"{clip.path.stem}.lab"


def _texts(path: pathlib.Path) -> dict[str, str]:
    """The text of each sentence by its id."""
    texts: dict[str, str] = {}
    for i, line in labels.lines(path):
        match = TEXT.fullmatch(line)
        if not match or not match["text"].strip():
            raise DataError(
                f'line {i} of {path} is {line[:60]!r}: it must be ( sentence "transcript" )'
            )
        if match["id"] in texts:
            raise DataError(f"{path} names {match['id']} twice, again in line {i}: remove one")
        texts[match["id"]] = match["text"].replace('\\"', '"').strip()
    return texts


def _spans(path: pathlib.Path) -> list[TimedLabel]:
    """The phones of a label file, each from the end of the one before."""
    numbered = labels.lines(path)
    if "#" not in (line for _, line in numbered):
        raise DataError(f"{path} has no line '#' before its labels: restore the original file")
    spans: list[TimedLabel] = []
    begun, end_s = False, 0.0
    for i, line in numbered:
        if begun:
            match = LABEL.fullmatch(line)
            if not match:
                raise DataError(
                    f"line {i} of {path} is {line[:60]!r}: it must be an end in seconds, a "
                    "number and a phone"
                )
            start_s, end_s = end_s, float(match["end_s"])
            if start_s != end_s:
                spans.append(TimedLabel(i, start_s, end_s, match["name"]))
        begun = begun or line == "#"
    return spans
