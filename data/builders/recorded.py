"""Base classes of corpora of recordings on disk.

A subclass lists the corpus's recordings with their labels (`Clip`) and splits them. The base
class has them read as the options ask (`ClipReader`), and drops those that cannot be used, up to a
limit.
"""

import abc
import dataclasses
import itertools
import pathlib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm
from absl import logging

from data.audio import own_range, reading
from data.builders import archives, splitting
from data.builders.base import AudioDatasetBuilder
from data.builders.clips import Clip, ClipReader, Spoken
from data.errors import DataError
from data.text import alignment, espeak, spans
from data.text.espeak import synthesis
from data.text.phone_model import PhoneModel
from data.text.spans import Speech

OPTIONS: dict[str, Any] = {
    "source": None,
    "sample_rate_hz": None,
    "mono": False,
    "trim_db": None,
    "peak_db": None,
    "loudness_lufs": None,
    "own_range": None,
    "skip_bad": False,
    "max_dropped_share": 0.01,
}
# Of corpora of long recordings without labels in time.
PIECES_OPTIONS: dict[str, Any] = {"piece_samples": None}
# Features computed from the recording itself.
PITCH_OPTIONS: dict[str, Any] = {"f0": False}
TEXT_OPTIONS = OPTIONS | PITCH_OPTIONS | {"align": None}
# Cutting the beginning would move the labels in time.
LABELLED_OPTIONS = {
    name: value for name, value in (OPTIONS | PITCH_OPTIONS).items() if name != "trim_db"
}


MODEL_CLIPS = 40
"""Of a speaker, from which the model is made that refines alignments."""


class FileDatasetBuilder(AudioDatasetBuilder):
    """A corpus of recordings on disk. Options of every such corpus:

    `source`: the folder or archive that the corpus is distributed as.
    `sample_rate_hz`: to resample to; None keeps the rate, which all must share.
    `mono`: whether to mix several channels into one.
    `trim_db`: silence, sound more than so many dB below the recording's loudest 25 ms, is cut
      from both ends. None and 0 cut nothing. Corpora whose recordings are
      labelled in time do not have it.
    `peak_db`: the level, in dB of full scale, that each recording's peak is brought to.
    `loudness_lufs`: the integrated loudness (ITU-R BS.1770-4) it is brought to; less where
      its peak would pass full scale. One of the two at most.
    `own_range`: "linear" or "mu_law": each recording is spread over the whole range of 256 codes,
      and stored as what they stand for (`data.audio.own_range`), as published likelihoods have it.
    `skip_bad`: drops recordings that cannot be used and logs each with the reason; otherwise
      the first stops the build.
    `max_dropped_share`: of the recordings that may be dropped; more stop the build.

    Of those without labels in time:

    `piece_samples`: recordings are cut into pieces of so many samples, once they are split; a rest
      that is shorter is left out.

    And of those that are speech:

    `f0`: whether to add `f0_hz`, F0 every 5 ms (`data.audio.pitch`).
    `align`: for recordings with a text but no phones, the eSpeak voice whose phones are
      aligned with them (`data.text.alignment`); adds the features of the `espeak` corpus.
    """

    @abc.abstractmethod
    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        """All recordings of the corpus in a folder, at least one, in a stable order.

        Raises:
          DataError: the folder has another layout.
        """

    @abc.abstractmethod
    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        """The TFDS feature of each of the clips' features and times."""

    def _labelled(self, clip: Clip) -> Clip:
        """The clip with the labels of its own files; by default it has none.

        Raises:
          DataError: the labels cannot be used; `skip_bad` then drops the recording.
        """
        return clip

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        """Clips of each split; by default by a hash of their names."""
        by_name = {clip.name: clip for clip in clips}
        return {
            split: [by_name[name] for name in names]
            for split, names in splitting.by_hash(list(by_name)).items()
        }

    def _info(self) -> tfds.core.DatasetInfo:
        _check_options(self.options)
        assert self.source is not None
        clips = self._usable(self._clips(self.source))
        header = reading.common_header(
            (clip.path for clip in clips),
            any_rate=self.options["sample_rate_hz"] is not None,
            any_channels=self.options["mono"],
        )
        if header.channels > 1 and not self.options["mono"]:
            raise DataError(
                f"{clips[0].path} has {header.channels} channels: mix them to one with --mono"
            )
        added: dict[str, Any] = {}
        if voice := self.options.get("align"):
            clips, phones = self._alignable(clips, voice)
            added |= spans.features(phones)
        if self.options.get("f0"):
            added["f0_hz"] = tfds.features.Tensor(shape=(None,), dtype=np.float32)
        self._planned = self._splits(clips)
        if number := self.options.get("piece_samples"):
            rate = self.options["sample_rate_hz"] or header.sample_rate_hz
            self._planned = _pieces(self._planned, number, rate)
        return self._recordings_info(
            {**self._features(clips), **added},
            sample_rate_hz=self.options["sample_rate_hz"] or header.sample_rate_hz,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Sequence[Spoken]]]:
        spoken: Iterator[Any] = itertools.repeat(None)
        models: Mapping[str, PhoneModel] = {}
        if voice := self.options.get("align"):
            every = [clip for part in self._planned.values() for clip in part]
            models = self._phone_models(voice, every)
            spoken = spoken_by(voice, every)
        return {
            split: self._items(split, part, itertools.islice(spoken, len(part)), models)
            for split, part in self._planned.items()
        }

    def _phone_models(self, voice: str, clips: Sequence[Clip]) -> Mapping[str, PhoneModel]:
        """The model of each speaker's phones, of at most `MODEL_CLIPS` clips spread over all."""
        of_speakers: dict[str, list[Clip]] = {}
        for clip in clips:
            of_speakers.setdefault(clip.speaker, []).append(clip)
        chosen = [of_one[:: -(-len(of_one) // MODEL_CLIPS)] for of_one in of_speakers.values()]
        spoken = spoken_by(voice, list(itertools.chain.from_iterable(chosen)))
        with_speech = (list(map(Spoken, of_one, spoken)) for of_one in chosen)
        models = tqdm.tqdm(
            self._map(self._reader().model, with_speech),
            desc="modelling phones",
            total=len(chosen),
            unit=" speakers",
        )
        found = zip(of_speakers, models, strict=True)
        return {speaker: model for speaker, model in found if model is not None}

    def _items(
        self,
        split: str,
        clips: Sequence[Clip],
        spoken: Iterator[Any],
        models: Mapping[str, PhoneModel],
    ) -> Iterator[Sequence[Spoken]]:
        """The clips, those of one file together, so that it is read once."""
        progress = tqdm.tqdm(clips, desc=split, unit=" recordings")
        every = (
            Spoken(clip, speech, models.get(clip.speaker))
            for clip, speech in zip(progress, spoken, strict=True)
        )
        for _, of_file in itertools.groupby(every, key=lambda each: each.clip.path):
            yield list(of_file)

    def _reader(self) -> ClipReader:
        return ClipReader(self.options)

    def _usable(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """All clips with their labels; with `skip_bad`, those that can be read to their end."""
        if not self.options["skip_bad"]:
            return [self._labelled(clip) for clip in clips]
        usable = []
        refusals = self._map(_refusal, (clip.path for clip in clips))
        progress = tqdm.tqdm(clips, desc="checking", unit=" recordings")
        for clip, refusal in zip(progress, refusals, strict=True):
            try:
                if refusal is not None:
                    raise refusal
                usable.append(self._labelled(clip))
            except DataError as error:
                logging.warning("dropped: %s", error)
        self._check_dropped(len(clips) - len(usable), len(clips))
        return usable

    def _alignable(self, clips: Sequence[Clip], voice: str) -> tuple[Sequence[Clip], Sequence[str]]:
        """The clips that can be aligned with eSpeak's speech, and the names of its phones."""
        names: set[str] = set()
        usable = []
        unspeakable = espeak.unspeakable((clip.spoken_text for clip in clips), voice=voice)
        spoken = spoken_by(voice, clips)
        progress = tqdm.tqdm(clips, desc="listing phones", unit=" recordings")
        for clip, speech in zip(progress, spoken, strict=True):
            try:
                _check_speakable(clip, unspeakable, voice)
                alignment.check(clip.path, speech, clip.length_s)
            except DataError as error:
                if not self.options["skip_bad"]:
                    raise
                logging.warning("dropped: %s", error)
                continue
            names |= {phone.name for phone in speech.phones}
            usable.append(clip)
        self._check_dropped(len(clips) - len(usable), len(clips))
        return usable, sorted(names | {spans.PAUSE})

    def _check_dropped(self, dropped: int, number: int) -> None:
        """Logs how many recordings were dropped, and refuses more than `max_dropped_share`."""
        if self.options["skip_bad"]:
            logging.warning("dropped %d of %d recordings", dropped, number)
        if dropped == number:
            raise DataError(f"{self.options['source']} holds no usable recording: add some")
        if dropped > self.options["max_dropped_share"] * number:
            raise DataError(
                f"{dropped} of {number} recordings of {self.options['source']} cannot be used, "
                f"a larger share than max_dropped_share={self.options['max_dropped_share']}: mend "
                "them, or allow it with --max_dropped_share"
            )


def _pieces(
    splits: Mapping[str, Sequence[Clip]], number: int, rate_hz: int
) -> dict[str, list[Clip]]:
    """Clips of each split in pieces of a number of samples.

    Raises:
      DataError: a split has none so long, or there is one recording, which itself is split.
    """
    if any(clip.end is not None for clips in splits.values() for clip in clips):
        raise DataError(
            "there is one recording alone, of which pieces would train and validate both: add "
            "another, or leave piece_samples out"
        )
    found: dict[str, list[Clip]] = {}
    for split, clips in splits.items():
        found[split] = [
            dataclasses.replace(
                clip,
                name=f"{clip.name}:{i}",
                part_s=(i * number / rate_hz, (i + 1) * number / rate_hz),
            )
            for clip in clips
            for i in range(round(clip.length_s * rate_hz) // number)
        ]
        if not found[split]:
            raise DataError(
                f"no recording of {split} has {number} samples at {rate_hz} Hz: choose a smaller "
                "piece_samples"
            )
    return found


class SortedBuilder(FileDatasetBuilder):
    """A corpus of wav files without labels, split in the order of their names, numbers in
    which are compared as numbers.

    Attributes:
      TITLE: For messages.
      SHARES: Of each split, in order.
    """

    TITLE: str
    SHARES = types.MappingProxyType({"train": 0.88, "validation": 0.06, "test": 0.06})

    def _clips(self, source: pathlib.Path) -> Sequence[Clip]:
        root = archives.root_with(source, "*.wav", self.TITLE)
        return [Clip(path, path.name) for path in sorted(root.glob("*.wav"), key=_natural)]

    def _features(self, clips: Sequence[Clip]) -> Mapping[str, Any]:
        return {}

    def _splits(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Clip]]:
        by_name = {clip.name: clip for clip in clips}
        parts = splitting.in_order(list(by_name), self.SHARES)
        return {split: [by_name[name] for name in names] for split, names in parts.items()}


def _natural(path: pathlib.Path) -> list[tuple[int, str]]:
    """A sort key by which 9.wav comes before 10.wav."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)]


def spoken_by(voice: str, clips: Sequence[Clip]) -> Iterator[Speech]:
    """The texts of clips, synthesised."""
    return synthesis.synthesise(
        synthesis.Utterance(clip.spoken_text, voice, synthesis.WORDS_PER_MINUTE) for clip in clips
    )


def _refusal(path: pathlib.Path) -> DataError | None:
    """Why a recording cannot be read to its end."""
    try:
        reading.read(path, mono=True, notices=reading.Notices())
    except DataError as error:
        return error
    return None


def _check_speakable(clip: Clip, unspeakable: frozenset[str], voice: str) -> None:
    """Refuses a text with a character or word of `unspeakable`."""
    found = [part for part in (*clip.spoken_text.split(), *clip.spoken_text) if part in unspeakable]
    if found:
        raise DataError(
            f"{clip.path} has a text with {found[0]!r}, which eSpeak's {voice} does not speak as a "
            "reader would: write what is read, or drop such recordings with --skip_bad"
        )


def _check_options(options: Mapping[str, Any]) -> None:
    levels = [
        name for name in ("peak_db", "loudness_lufs", "own_range") if options.get(name) is not None
    ]
    if len(levels) > 1:
        raise DataError(f"{' and '.join(levels)} are both given: give one")
    if (companding := options.get("own_range")) not in (None, *own_range.COMPANDINGS):
        raise DataError(
            f"own_range is {companding!r}: it must be one of {', '.join(own_range.COMPANDINGS)}"
        )
    if (number := options.get("piece_samples")) is not None and number < 1:
        raise DataError(f"piece_samples is {number}: it must be at least 1")
    others = [name for name in ("trim_db", "align", "f0") if options.get(name)]
    if number is not None and others:
        raise DataError(f"piece_samples goes without {' and '.join(others)}: leave one out")
    for name, low, high in (
        ("trim_db", 10, 120),
        ("peak_db", -60, 0),
        ("loudness_lufs", -70, 0),
        ("max_dropped_share", 0, 1),
    ):
        value = options.get(name)
        if name == "trim_db" and value == 0:
            continue
        if value is not None and not low <= value <= high:
            raise DataError(f"{name} is {value}: it must be between {low} and {high}")
