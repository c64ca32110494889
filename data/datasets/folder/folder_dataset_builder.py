"""A corpus from any folder of recordings, through links to folders.

Recordings go to splits by a hash of their paths within the folder (`splitting.by_hash`); of those
with texts `MIN_SPOKEN` or more validate. A single recording is cut: its last `clips.LAST_SHARE` is
the validation split, the rest before it the train split.

With texts that are aligned, recordings longer than `cutting.MAX_PART_S` are cut at pauses, and each
part is a recording of the corpus, named `path:1`, `path:2`, and so on.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data.audio import reading
from data.builders import splitting
from data.builders.files import files_below
from data.builders.recorded import Clip, FileDatasetBuilder, spoken_by
from data.datasets.folder.tables import read_table
from data.errors import DataError
from data.text import alignment, cutting
from data.text.spans import Speech

# Sentences that validate at least, of a corpus with texts, but no larger share of it.
MIN_SPOKEN = 4
MAX_SPOKEN_SHARE = 0.2


class Builder(FileDatasetBuilder):
    """Options: `labels`, `licence`, and those that every recorded corpus has.

    `labels` is "none", "folders" (the name of the folder within `source` that
    holds the recording, at any depth below) or a CSV file of labels, speakers and texts
    (`tables`). `licence` is that of the recordings, in words.
    """

    LICENCE = "that of the recordings"
    HOMEPAGE = ""

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        paths = {path.relative_to(source).as_posix(): path for path in _find(source, self.notices)}
        labels = labels_of(list(paths), self.options["labels"])
        clips = [Clip(path, name, labels[name]) for name, path in paths.items()]
        if self.options["align"] and "text" not in clips[0].features:
            raise DataError(
                f"--align={self.options['align']} needs texts: name a table with the columns "
                "path,text with --labels=FILE"
            )
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        features: dict[str, Any] = {}
        for column in clips[0].features:
            if column == "text":
                features[column] = tfds.features.Text(doc="what is read")
            else:
                classes = sorted({clip.features[column] for clip in clips})
                features[column] = tfds.features.ClassLabel(names=classes)
        return features

    def _labelled(self, clip: Clip) -> Clip:
        if self.options["align"] and clip.length_s > cutting.MAX_RECORDING_S:
            raise DataError(
                f"{clip.path} lasts {clip.length_s:.0f} s, and a recording that is aligned with "
                f"its text lasts up to {cutting.MAX_RECORDING_S:.0f} s: cut it into chapters"
            )
        return clip

    def _alignable(self, clips: Sequence[Clip], voice: str) -> tuple[Sequence[Clip], Sequence[str]]:
        long = [clip for clip in clips if clip.length_s > cutting.MAX_PART_S]
        # No bar where there is nothing to cut.
        progress = tqdm.tqdm(long, desc="cutting", unit=" recordings", disable=not long)
        spoken = zip(progress, spoken_by(voice, long), strict=True)
        parts: dict[str, Sequence[Clip]] = {}
        for clip, (of_clip, notices) in zip(long, self._map(_cut, spoken), strict=True):
            parts[clip.name] = of_clip
            self.notices.extend(notices)
        return super()._alignable(
            [part for clip in clips for part in parts.get(clip.name, [clip])], voice
        )

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        has_text = "text" in clips[0].features
        if len(clips) == 1 and (has_text or self.options["f0"]):
            raise DataError(
                f"{clips[0].path} is the only recording, and one with a text or pitch is not cut "
                "into train and validation: add another"
            )
        if len(clips) == 1:
            return {
                split: [dataclasses.replace(clips[0], end=end)]
                for split, end in (("train", False), ("validation", True))
            }
        if not has_text:
            return super()._splits(clips)
        by_name = {clip.name: clip for clip in clips}
        least = max(1, min(MIN_SPOKEN, int(MAX_SPOKEN_SHARE * len(clips))))
        splits = splitting.by_hash(list(by_name), min_validation=least)
        return {split: [by_name[name] for name in names] for split, names in splits.items()}


def _cut(spoken: tuple[Clip, Speech]) -> tuple[Sequence[Clip], reading.Notices]:
    """The parts that a long recording is cut into, itself where it cannot be cut."""
    clip, speech = spoken
    notices = reading.Notices()
    try:
        alignment.check(clip.path, speech, clip.length_s, max_s=cutting.MAX_RECORDING_S)
    except DataError:
        return [clip], notices  # which the alignment of the parts refuses, or drops
    samples, rate = reading.read(clip.path, mono=True, notices=reading.Notices())
    parts = cutting.parts(clip.path, clip.spoken_text, speech, samples, rate)
    if any(part.end_s - part.start_s > cutting.MAX_PART_S for part in parts):
        notices.add(
            f"longer than {cutting.MAX_PART_S:.0f} s without a pause of "
            f"{cutting.MIN_PAUSE_S} s to cut at, kept so",
            clip.path,
        )
    if len(parts) == 1:
        return [clip], notices
    notices.add("cut at pauses", clip.path)
    named = [
        dataclasses.replace(
            clip,
            name=f"{clip.name}:{i}",
            features={**clip.features, "text": part.text},
            part_s=(part.start_s, part.end_s),
        )
        for i, part in enumerate(parts, start=1)
    ]
    return named, notices


def labels_of(names: Sequence[str], labels: str) -> dict[str, dict[str, str]]:
    """Each recording's label, speaker and text, those that there are.

    Raises:
      DataError: a recording without one, or a CSV file that cannot be used.
    """
    if labels == "none":
        return {name: {} for name in names}
    if labels == "folders":
        for name in names:
            if "/" not in name:
                raise DataError(
                    f"{name} lies in no sub-folder to take its label from: move it into one, or "
                    "use --labels=none"
                )
        return {name: {"label": name.split("/")[0]} for name in names}
    path = pathlib.Path(labels)
    if not path.is_file():
        raise DataError(f"--labels={labels} is neither none, folders nor a CSV file: check it")
    return read_table(path, names)


def _find(source: pathlib.Path, notices: reading.Notices) -> list[pathlib.Path]:
    """The recordings below a folder in the order of their paths; `notices` names other files."""
    if not source.is_dir():
        raise DataError(f"--source={source} is not a folder: check the path")
    found = []
    for path in files_below(source, notices):
        if path.suffix.lower() in reading.EXTENSIONS and not path.name.startswith("."):
            found.append(path)
        else:
            notices.add("ignored, no wav, flac, ogg, opus or mp3 by its name", path)
    if not found:
        raise DataError(
            f"--source={source} holds no recordings ({', '.join(reading.EXTENSIONS)}): "
            "check the path"
        )
    return found
