"""The LJ Speech Dataset (public domain), or a part of it.

Read in its own layout: `metadata.csv`, with a line `id|transcript|normalised transcript` for
each clip, beside `wavs/id.wav`. In the order of their ids, the last 1% of the clips, and at
least the last four, are held out as validation; the others train.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data import text_files
from data.builders import archives
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError

MIN_HELD_OUT = 4
HELD_OUT_SHARE = 0.01


class Builder(FileDatasetBuilder):
    """Clips with their `text`; options as every recorded corpus has them."""

    LICENCE = "public domain"
    HOMEPAGE = "https://keithito.com/LJ-Speech-Dataset"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, "metadata.csv", "LJ Speech")
        texts = _transcripts(root / "metadata.csv")
        table, folder = root / "metadata.csv", root / "wavs"
        clips = [
            Clip(archives.within(folder, f"{id_}.wav", table), id_, {"text": text})
            for id_, text in texts.items()
        ]
        for clip in clips:
            if not clip.path.is_file():
                raise DataError(
                    f"{clip.path} is missing, and metadata.csv names it: restore it, or remove "
                    "its line"
                )
        return clips

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        return {"text": tfds.features.Text(doc="transcript, with numbers and the like in words")}

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        held_out = max(MIN_HELD_OUT, int(HELD_OUT_SHARE * len(clips)))
        return {"train": clips[:-held_out], "validation": clips[-held_out:]}


def _transcripts(path: pathlib.Path) -> dict[str, str]:
    """The text of each clip, by its id and in the order of the ids.

    Raises:
      DataError: the file is empty or not of LJ Speech's layout.
    """
    texts: dict[str, str] = {}
    for i, line in enumerate(text_files.text(path).splitlines(), start=1):
        row = line.split("|")
        clip, transcript, normalised, *_ = [*map(str.strip, row), "", "", ""]
        text = normalised or transcript
        if not clip or not text:
            raise DataError(
                f"line {i} of {path} is {'|'.join(row)[:60]!r}: it must be "
                "id|transcript|normalised transcript"
            )
        if clip in texts:
            raise DataError(f"{path} names {clip} twice, again in line {i}: remove one")
        texts[clip] = text
    if not texts:
        raise DataError(f"{path} names no recordings: restore the original file")
    return dict(sorted(texts.items()))
