"""Recordings on disk, and reading them as a corpus's options ask."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data.audio import own_range, pitch, reading
from data.audio.reading import Notices
from data.builders import labels
from data.builders.records import Example, RecordingReader
from data.errors import DataError
from data.text import alignment, spans
from data.text.phone_model import PhoneModel
from data.text.spans import Speech

LAST_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Clip:
    """A recording of a corpus.

    Attributes:
      path: Of its file.
      name: Stable, and unique within the corpus.
      features: Its features beside the samples.
      times_s: Features that are positions, in seconds from its start; stored in samples at
        the rate of the stored recording, none beyond its end.
      part_s: Where the recording begins and ends in its file, in seconds; None for all of it.
      end: Of a recording that is cut in two to train and to validate, whether this is the last
        `LAST_SHARE` of its samples or those before; None for all of them.
    """

    path: pathlib.Path
    name: str
    features: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    times_s: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    part_s: tuple[float, float] | None = None
    end: bool | None = None

    @property
    def length_s(self) -> float:
        """Its length before silence is trimmed.

        Raises:
          DataError: as `labels.length_s` does.
        """
        if self.part_s is None:
            return labels.length_s(self.path)
        return self.part_s[1] - self.part_s[0]

    @property
    def spoken_text(self) -> str:
        """Its text for eSpeak, which would spell capitals alone: they become lower case."""
        text: str = self.features["text"]
        return text.lower() if text.isupper() else text

    @property
    def speaker(self) -> str:
        """Who reads it; "" in a corpus that does not say."""
        return str(self.features.get("speaker", ""))


class Spoken(NamedTuple):
    """A clip, and what its alignment needs.

    Attributes:
      clip: The recording.
      speech: Its text, synthesised; None where nothing is aligned.
      model: Of the phones of its speaker; None where there is none.
    """

    clip: Clip
    speech: Speech | None = None
    model: PhoneModel | None = None


@dataclasses.dataclass(frozen=True)
class ClipReader(RecordingReader):
    """Reads, resamples, mixes, trims, levels and aligns recordings.

    Attributes:
      options: Of the corpus, as `FileDatasetBuilder` lists them.
    """

    options: Mapping[str, Any]

    def paths(self, item: Sequence[Spoken]) -> list[pathlib.Path]:
        return [item[0].clip.path]

    def recordings(self, item: Sequence[Spoken], notices: Notices) -> Iterator[Example]:
        """Of clips of one file, which is read once."""
        file, rate = self._read(item[0].clip.path, notices)
        for spoken in item:
            samples = self._processed(spoken.clip, file, rate, notices)
            yield self._features(spoken, samples, rate)

    def model(self, clips: Sequence[Spoken]) -> PhoneModel | None:
        """The model of the phones of clips of one speaker; what cannot be read is left out, and is
        refused, or reported, where it is read as a recording."""
        return alignment.speaker_model(self._aligned(clips))

    def _aligned(
        self, clips: Sequence[Spoken]
    ) -> Iterator[tuple[spans.Alignment, np.ndarray, int]]:
        for clip, speech, _ in clips:
            assert speech is not None
            with contextlib.suppress(DataError):
                samples, rate = self._read(clip.path, Notices())
                samples = self._processed(clip, samples, rate, Notices())
                yield alignment.align(clip.path, speech, samples, rate), samples, rate

    def _read(self, path: pathlib.Path, notices: Notices) -> tuple[np.ndarray, int]:
        return reading.read(
            path,
            sample_rate_hz=self.options["sample_rate_hz"],
            mono=self.options["mono"],
            notices=notices,
        )

    def _processed(
        self, clip: Clip, samples: np.ndarray, rate: int, notices: Notices
    ) -> np.ndarray:
        """The samples of a clip of a file of `samples`."""
        options = self.options
        if clip.part_s is not None:
            begin, end = (round(time_s * rate) for time_s in clip.part_s)
            samples = samples[begin:end]
        if options.get("trim_db"):
            samples = reading.trimmed(clip.path, samples, rate, options["trim_db"], notices)
        if companding := options.get("own_range"):
            return own_range.coded(samples, companding)
        return reading.levelled(
            clip.path,
            samples,
            rate,
            peak_db=options["peak_db"],
            loudness_lufs=options["loudness_lufs"],
            notices=notices,
        )

    def _features(self, spoken: Spoken, samples: np.ndarray, rate: int) -> Example:
        clip, speech, model = spoken
        added: Example = {}
        if speech is not None:
            added |= spans.labels(alignment.align(clip.path, speech, samples, rate, model=model))
        if self.options.get("f0"):
            added["f0_hz"] = pitch.f0(samples, rate)
        positions = {
            name: np.minimum(np.rint(np.asarray(times) * rate), len(samples)).astype(np.int64)
            for name, times in clip.times_s.items()
        }
        cut = len(samples) - max(1, int(LAST_SHARE * len(samples)))
        begin, end = {None: (0, len(samples)), False: (0, cut), True: (cut, len(samples))}[clip.end]
        return {
            "audio": samples[begin:end],
            "recording": clip.name,
            "start": begin,
            **clip.features,
            **positions,
            **added,
        }
