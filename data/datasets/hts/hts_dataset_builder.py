"""Recordings with HTS full-context labels aligned in time, and the question file for them.

The labels of each `NAME.wav`, at any depth of the source, are `NAME.lab` beside it, or in a
folder of labels beside the folder `wav` that holds it: `lab`, or Merlin's
`label_state_align` or `label_phone_align`. They may be by phone or by state.

Recordings go to splits by a hash of their paths within the source (`splitting.by_hash`).
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.audio import reading
from data.builders import archives
from data.builders.files import files_below
from data.builders.recorded import Clip, FileDatasetBuilder
from data.errors import DataError
from data.text.hts.labels import phone_samples, read_labels
from data.text.hts.questions import Questions

LABEL_FOLDERS = ("lab", "label_state_align", "label_phone_align")


class Builder(FileDatasetBuilder):
    """Options: `questions`, the question file, and those of every recorded corpus but `trim_db`.

    Recordings have `labels`, the context of each of P phones, and `phone_starts` and
    `phone_ends` `[P]`, in samples, which tile the recording: the last label is extended to its end.
    And `f0_hz`, one value each 5 ms, 0 where unvoiced. The lines of the question file are in the
    corpus's metadata (`Corpus.questions`).
    """

    LICENCE = "that of the recordings"
    HOMEPAGE = ""

    def _info(self) -> tfds.core.DatasetInfo:
        if not self.options["questions"]:
            raise DataError("hts needs a question file: name it with --questions=FILE")
        self._questions = Questions.read(self.options["questions"])
        self._matched = False
        info = super()._info()
        if not self._matched:
            raise DataError(
                f"no question of {self._questions.source} matches a label of "
                f"{self.options['source']}: give the question file that belongs to these labels"
            )
        info.metadata["questions"] = list(self._questions.lines)
        return info

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        paths = [
            path
            for path in files_below(source, self.notices)
            if path.suffix == ".wav" and not path.name.startswith(".")
        ]
        if not paths:
            needed = "NAME.wav with NAME.lab beside it, or wav/NAME.wav and lab/NAME.lab"
            raise archives.wrong_layout(source, needed, "a corpus for HTS")
        return [Clip(path, path.relative_to(source).as_posix()) for path in paths]

    def _labelled(self, clip: Clip) -> Clip:
        labels = read_labels(_label_path(clip.path))
        header = reading.read_header(clip.path)
        length_s = header.length / header.sample_rate_hz
        labels.check_length(clip.path.name, length_s)
        rate = self.options["sample_rate_hz"] or header.sample_rate_hz
        at = phone_samples(labels, rate, round(length_s * rate))
        answers = self._questions.answers(labels)
        binary = self._questions.num_binary
        self._matched |= bool((answers[:, :binary] > 0).any() or (answers[:, binary:] >= 0).any())
        times_s = {name: list(samples / rate) for name, samples in at.items()}
        times_s["phone_ends"][-1] = math.inf  # the recording's end, also when it is resampled
        return dataclasses.replace(clip, features={"labels": labels.contexts}, times_s=times_s)

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        positions = tfds.features.Tensor(shape=(None,), dtype=np.int64)
        return {
            "labels": tfds.features.Sequence(tfds.features.Text()),
            "phone_starts": positions,
            "phone_ends": positions,
        }

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        if len(clips) < 2:
            raise DataError(
                f"{self.options['source']} holds one recording with labels: give at least 2, to "
                "train on and to validate with"
            )
        return super()._splits(clips)


def _label_path(path: pathlib.Path) -> pathlib.Path:
    """The path of a recording's labels.

    Raises:
      DataError: the recording has none.
    """
    name = f"{path.stem}.lab"
    beside = path.with_name(name)
    folders = LABEL_FOLDERS if path.parent.name == "wav" else ()
    for candidate in (beside, *(path.parents[1] / folder / name for folder in folders)):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{path} has no labels: put {name} beside it, or in lab/ beside its folder wav/, or drop "
        "such recordings with --skip_bad"
    )
