"""The LJ Speech Dataset (public domain), from a copy on disk or a part of one.

Read in its own layout: `metadata.csv`, with a line `id|transcript|normalised transcript` for
each clip, beside `wavs/id.wav`. In the order of their ids, the last 1% of the clips, and at
least the last four, are held out as validation; the others train.
"""

import csv
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data import audio
from data.builder import Example, RecordingBuilder
from data.errors import DataError

HELD_OUT_LEAST = 4
HELD_OUT_SHARE = 0.01


class Builder(RecordingBuilder):
    """Options: `source`, the folder of `metadata.csv`, and `sample_rate_hz`, to resample to."""

    def _info(self) -> tfds.core.DatasetInfo:
        self._source = pathlib.Path(self.options["source"])
        self._texts = _transcripts(self._source / "metadata.csv")
        for path in map(self._path, self._texts):
            if not path.is_file():
                raise DataError(
                    f"{path} is missing, and metadata.csv names it: restore it, or remove its line"
                )
        rate = self.options["sample_rate_hz"]
        header = audio.common_header(
            map(self._path, self._texts), any_rate=rate is not None, any_channels=False
        )
        return self._recordings_info(
            {"text": tfds.features.Text(doc="what is read, with numbers and the like in words")},
            sample_rate_hz=rate or header.sample_rate_hz,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Example]]:
        clips = list(self._texts)
        held_out = max(HELD_OUT_LEAST, int(HELD_OUT_SHARE * len(clips)))
        splits = {"train": clips[:-held_out], "validation": clips[-held_out:]}
        return {split: self._recordings(split, part) for split, part in splits.items()}

    def _recordings(self, split: str, clips: list[str]) -> Iterator[Example]:
        for clip in tqdm.tqdm(clips, desc=split, unit=" recordings"):
            samples, _ = audio.read(
                self._path(clip),
                sample_rate_hz=self.options["sample_rate_hz"],
                notices=self.notices,
            )
            yield {"audio": samples, "recording": clip, "start": 0, "text": self._texts[clip]}

    def _path(self, clip: str) -> pathlib.Path:
        return self._source / "wavs" / f"{clip}.wav"


def _transcripts(path: pathlib.Path) -> dict[str, str]:
    """The text of each clip, by its id and in the order of the ids.

    Raises:
      DataError: the file is missing, empty or not of LJ Speech's layout.
    """
    if not path.is_file():
        raise DataError(
            f"{path} is not a file: give as --source the folder of LJ Speech that holds "
            "metadata.csv and wavs"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}): restore the original file") from None
    texts: dict[str, str] = {}
    # Quotation marks in it are what is read, and not always closed.
    for i, row in enumerate(csv.reader(lines, delimiter="|", quoting=csv.QUOTE_NONE), start=1):
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
