"""The CMU Arctic databases (free for any use with the notice kept), of one or several speakers.

Each is a folder `cmu_us_SPEAKER_arctic` with `wav/arctic_a0001.wav`, the texts in
`etc/txt.done.data`, lines `( arctic_a0001 "Text." )`, and phones in `lab/arctic_a0001.lab`:
after a line `#` one line `END_S 125 PHONE` a phone. Sentences are split by a hash of their
names (`splitting.by_hash`), so that one sentence is in the same split for every speaker.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data import archives, splitting
from data.errors import DataError
from data.recorded import Clip, RecordedBuilder

TEXT = re.compile(r'\(\s*(?P<name>\S+)\s+"(?P<text>.*)"\s*\)')


class Builder(RecordedBuilder):
    """Clips with `speaker`, `text`, and `phones` from `phone_starts` to `phone_ends`."""

    PIECE_S = 0.0
    TIMES = ("phone_starts", "phone_ends")

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        if (source / "etc" / "txt.done.data").is_file():
            folders = [source]
        else:
            root = archives.root_with(source, "cmu_us_*_arctic*", "CMU Arctic")
            folders = sorted(path for path in root.glob("cmu_us_*_arctic*") if path.is_dir())
        return [clip for folder in folders for clip in _database(folder)]

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        phones = sorted({phone for clip in clips for phone in clip.features["phones"]})
        positions = tfds.features.Tensor(shape=(None,), dtype=np.int64)
        return {
            "speaker": tfds.features.ClassLabel(
                names=sorted({clip.features["speaker"] for clip in clips})
            ),
            "text": tfds.features.Text(doc="what is read"),
            "phones": tfds.features.Sequence(tfds.features.ClassLabel(names=phones)),
            "phone_starts": positions,
            "phone_ends": positions,
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        sentences = list(dict.fromkeys(clip.path.stem for clip in clips))
        if len(sentences) < 2:
            raise DataError(f"{self.options['source']} holds a single sentence: add some")
        return {
            split: [clip for clip in clips if clip.path.stem in held]
            for split, held in splitting.by_hash(sentences).items()
        }


def _database(folder: pathlib.Path) -> list[Clip]:
    """The clips of one speaker.

    Raises:
      DataError: a file is missing, or is not as the module's docstring says.
    """
    texts = folder / "etc" / "txt.done.data"
    if not texts.is_file():
        raise DataError(f"{texts} is missing: give a database of CMU Arctic as it was downloaded")
    name = folder.resolve().name
    speaker = match["speaker"] if (match := re.match(r"cmu_us_(?P<speaker>[^_]+)_", name)) else name
    clips = []
    for i, line in enumerate(texts.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        if not (match := TEXT.fullmatch(line.strip())):
            raise DataError(f'line {i} of {texts} is {line[:60]!r}: it must be ( name "text" )')
        path = folder / "wav" / f"{match['name']}.wav"
        if not path.is_file():
            raise DataError(f"{path} is missing, and line {i} of {texts} names it: restore it")
        phones, ends_s = _phones(folder / "lab" / f"{match['name']}.lab")
        clips.append(
            Clip(
                path,
                f"{speaker}/{match['name']}",
                {
                    "speaker": speaker,
                    "text": match["text"].replace('\\"', '"'),
                    "phones": phones,
                    "phone_starts": [0.0, *ends_s[:-1]],
                    "phone_ends": ends_s,
                },
            )
        )
    if not clips:
        raise DataError(f"{texts} names no recordings: restore the original file")
    return clips


def _phones(path: pathlib.Path) -> tuple[list[str], list[float]]:
    """Phones and their ends in seconds, which rise."""
    if not path.is_file():
        raise DataError(f"{path} is missing: give a database of CMU Arctic with its labels")
    phones: list[str] = []
    ends_s: list[float] = []
    begun = False
    for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if not begun or not fields:
            begun = begun or fields == ["#"]
            continue
        try:
            end_s, _, phone = float(fields[0]), fields[1], fields[2]
        except (IndexError, ValueError):
            raise DataError(
                f"line {i} of {path} is {line[:60]!r}: it must be END_S 125 PHONE"
            ) from None
        if not end_s > (ends_s[-1] if ends_s else 0):
            raise DataError(
                f"line {i} of {path} ends {phone} at {end_s} s, not after the phone before it: "
                "correct it"
            )
        phones.append(phone)
        ends_s.append(end_s)
    if not phones:
        raise DataError(f"{path} has no phones after a line #: restore the original file")
    return phones, ends_s
