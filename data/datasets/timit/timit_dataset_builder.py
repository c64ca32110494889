"""TIMIT (licensed by the Linguistic Data Consortium, LDC93S1), or a sample of it.

Read in its own layout, `TRAIN/DR1/FCJF0/SI1027.WAV` with `.TXT`, `.WRD` and `.PHN` beside it,
names in upper or lower case, at any depth of the source; or as NLTK's sample lays it out
(CC BY-NC-SA), `dr1-fvmh0/si836.wav`.

The sentences SA1 and SA2, which every speaker reads, are left out everywhere. Of the whole
corpus the training part trains, the 24 speakers of the core test set test and the usual 50
others of the test part validate (`speakers`); the other 94 are left out. Of the sample the
speakers of dialect region 6 validate, those of region 7 test and the others train.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.builders import archives, labels
from data.builders.files import files_below
from data.builders.labels import TimedLabel
from data.builders.recorded import Clip, FileDatasetBuilder
from data.datasets.timit import speakers
from data.errors import DataError

RATE_HZ = 16000
_PHONES = (
    "aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh "
    "hv ih ix iy jh k kcl l m n ng nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh"
)
PHONES = tuple(_PHONES.split())
WHOLE = re.compile(r"(?P<part>train|test)/dr\d/(?P<speaker>[a-z0-9]+)/s[ix]\d+\.phn")
SAMPLE = re.compile(r"dr\d-(?P<speaker>[a-z0-9]+)/s[ix]\d+\.phn")
ENTRY = re.compile(r"([0-9]{1,15})\s+([0-9]{1,15})\s+(\S+)")


class Builder(FileDatasetBuilder):
    """Sentences with their `text`, `speaker`, `phones` and `words`.

    The positions `phone_starts`, `phone_ends`, `word_starts` and `word_ends` are samples.
    Phones are the 61 as they are written, and tile the sentence up to the last one's end,
    which is mostly a little before the recording's. Options as every recorded corpus has
    them, but for `trim_db`.
    """

    LICENCE = "LDC User Agreement (the corpus), CC BY-NC-SA (the sample)"
    HOMEPAGE = "https://catalog.ldc.upenn.edu/LDC93S1"

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        found = {
            path.relative_to(source).as_posix().lower(): path
            for path in files_below(source, self.notices)
        }
        self._beside: dict[str, dict[str, pathlib.Path]] = {}
        clips = []
        for lower in sorted(found):
            whole = WHOLE.fullmatch("/".join(lower.split("/")[-4:]))
            match = whole or SAMPLE.fullmatch("/".join(lower.split("/")[-2:]))
            if not match:
                continue
            name = match[0].removesuffix(".phn")
            if name in self._beside:
                raise DataError(
                    f"--source={source} holds {name} twice, again as {found[lower]}: keep one copy"
                )
            beside = {}
            for suffix in (".wav", ".phn", ".txt", ".wrd"):
                path = found.get(lower.removesuffix(".phn") + suffix)
                if path is None:
                    raise DataError(
                        f"{found[lower]} has no {suffix} beside it: restore it from the corpus"
                    )
                beside[suffix] = path
            self._beside[name] = beside
            clips.append(Clip(beside[".wav"], name, {"speaker": match["speaker"]}))
        if not clips:
            raise archives.wrong_layout(
                source, "TRAIN/DR1/FCJF0/SI1027.PHN and the like (or dr1-fvmh0/si836.phn)", "TIMIT"
            )
        return clips

    def _labelled(self, clip: Clip) -> Clip:
        beside = self._beside[clip.name]
        length_s = labels.length_s(clip.path)
        features = {**clip.features, "text": _text(beside[".txt"])}
        times_s: dict[str, list[float]] = {}
        for kind, suffix in (("phone", ".phn"), ("word", ".wrd")):
            spans = _spans(beside[suffix])
            # Words overlap where a sound belongs to two of them.
            labels.check(beside[suffix], spans, length_s, tile=kind == "phone")
            names, times = labels.features(kind, spans)
            features, times_s = features | names, times_s | times
            if kind == "phone":
                _check_known(beside[suffix], spans)
        return dataclasses.replace(clip, features=features, times_s=times_s)

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        positions = tfds.features.Tensor(shape=(None,), dtype=np.int64)
        return {
            "text": tfds.features.Text(doc="transcript"),
            "speaker": tfds.features.ClassLabel(
                names=sorted({clip.features["speaker"] for clip in clips})
            ),
            "phones": tfds.features.Sequence(tfds.features.ClassLabel(names=list(PHONES))),
            "phone_starts": positions,
            "phone_ends": positions,
            "words": tfds.features.Sequence(tfds.features.Text()),
            "word_starts": positions,
            "word_ends": positions,
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        splits: dict[str, list[Clip]] = {"train": [], "validation": [], "test": []}
        for clip in clips:
            part = clip.name.split("/")[0]
            held_out = speakers.HELD_OUT.get(part, speakers.HELD_OUT_OF_SAMPLE)
            which = [split for split, held in held_out.items() if clip.features["speaker"] in held]
            if which or part != "test":
                splits[which[0] if which else "train"].append(clip)
        return splits


def _text(path: pathlib.Path) -> str:
    """The transcript in a line `0 63488 She had your suit.`"""
    lines = labels.lines(path)
    fields = lines[0][1].split(maxsplit=2) if lines else []
    if len(fields) < 3:
        raise DataError(
            f"line 1 of {path} is {' '.join(fields)!r}, with no text: it must be start, end and "
            "transcript"
        )
    return fields[2]


def _spans(path: pathlib.Path) -> list[TimedLabel]:
    """The labels of lines `3050 4559 sh`, in samples."""
    spans = []
    for i, line in labels.lines(path):
        match = ENTRY.fullmatch(line)
        if not match:
            raise DataError(
                f"line {i} of {path} is {line[:60]!r}: it must be start and end in samples and a "
                "label"
            )
        start, end, name = match.groups()
        spans.append(TimedLabel(i, int(start) / RATE_HZ, int(end) / RATE_HZ, name))
    return spans


def _check_known(path: pathlib.Path, spans: Sequence[TimedLabel]) -> None:
    for span in spans:
        if span.name not in PHONES:
            raise DataError(
                f"line {span.line} of {path}: {span.name!r} is none of TIMIT's {len(PHONES)} "
                "phones: correct it"
            )
