"""Speech synthesised by eSpeak NG (GPL-3.0-or-later), labelled in time.

Texts of the validation and test splits do not occur in train. Within each split
the voices take turns. The same options give the same corpus.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import soxr
import tensorflow_datasets as tfds
import tqdm

from data.audio import pitch, reading
from data.builders.base import AudioDatasetBuilder
from data.builders.records import Example, RecordingReader
from data.errors import DataError
from data.text import spans
from data.text.espeak import texts
from data.text.espeak.synthesis import Utterance, synthesise
from data.text.spans import Span, Speech

HELD_OUT_SHARE = 0.05

Spoken = tuple[str, Utterance, Speech]
"""The name of a recording, what is said in it, and its sound."""


@dataclasses.dataclass(frozen=True)
class SpeechReader(RecordingReader):
    """Resamples synthesised speech, and finds its pitch."""

    sample_rate_hz: int

    def recordings(self, item: Spoken, notices: reading.Notices) -> Iterator[Example]:
        name, utterance, speech = item
        rate, native_rate = self.sample_rate_hz, speech.sample_rate_hz
        resampled = soxr.resample(speech.samples.astype(np.float32), native_rate, rate)
        at_rate = spans.Alignment(
            *(
                _rescaled(part, native_rate, rate, len(resampled))
                for part in (speech.phones, speech.words)
            )
        )
        yield {
            "audio": reading.to_int16(resampled),
            "recording": name,
            "start": 0,
            "text": utterance.text,
            "speaker": utterance.voice,
            **spans.labels(at_rate),
            "f0_hz": pitch.f0(resampled, rate),
        }


class Builder(AudioDatasetBuilder):
    """Options: `voices`, `num_utterances`, `num_test`, `domain`, `words_per_minute`,
    `sample_rate_hz`, `seed`.

    Of `num_utterances` 5% are for validation and 5% for test. `num_test` makes the test split
    longer, with further texts, and leaves the other splits as they are.
    An utterance is one example, however long. Its features in time are samples
    at `sample_rate_hz`: `phones` (classes) with `phone_starts`, `phone_ends` and
    `phone_stress`, which tile the utterance; `words` with `word_starts` and
    `word_ends`; and `f0_hz`, one value each 5 ms, 0 where unvoiced. Phones are
    eSpeak's names for them; `_` is a pause.
    """

    LICENCE = "made here by eSpeak NG, a program under GPL-3.0-or-later"
    HOMEPAGE = "https://github.com/espeak-ng/espeak-ng"

    PIECE_S = 0.0

    def _info(self) -> tfds.core.DatasetInfo:
        self._utterances = _plan(**self.options)
        every = [utterance for part in self._utterances.values() for utterance in part]
        spoken = tqdm.tqdm(synthesise(every), "listing phones", len(every), unit=" utterances")
        names = sorted({phone.name for speech in spoken for phone in speech.phones})
        return self._recordings_info(
            {
                "text": tfds.features.Text(),
                "speaker": tfds.features.ClassLabel(names=list(self.options["voices"])),
                **spans.features(names),
                "f0_hz": tfds.features.Tensor(shape=(None,), dtype=np.float32),
            },
            sample_rate_hz=self.options["sample_rate_hz"],
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Spoken]]:
        # One fresh process synthesises everything in this order, as it did for `_info`.
        every = [utterance for part in self._utterances.values() for utterance in part]
        spoken = synthesise(every)
        return {
            split: self._items(split, part, itertools.islice(spoken, len(part)))
            for split, part in self._utterances.items()
        }

    def _items(
        self, split: str, utterances: Sequence[Utterance], spoken: Iterator[Speech]
    ) -> Iterator[Spoken]:
        progress = tqdm.tqdm(utterances, desc=split, unit=" utterances")
        for i, (utterance, speech) in enumerate(zip(progress, spoken, strict=True)):
            yield f"{split}-{i:05d}", utterance, speech

    def _reader(self) -> SpeechReader:
        return SpeechReader(self.options["sample_rate_hz"])


def _plan(
    *,
    voices: Sequence[str],
    num_utterances: int,
    num_test: int | None,
    domain: str,
    words_per_minute: int,
    sample_rate_hz: int,
    seed: int,
) -> dict[str, list[Utterance]]:
    """The utterances of each split.

    Raises:
      DataError: an option out of its range.
    """
    if domain not in texts.DOMAINS:
        raise DataError(
            f"no text domain is called {domain!r}: there are {', '.join(texts.DOMAINS)}"
        )
    if not voices or len(set(voices)) < len(voices):
        raise DataError(f"voices is {','.join(voices)!r}: name at least one, each once")
    for name, value, low, high in (
        ("num_utterances", num_utterances, 3, 100_000),
        ("words_per_minute", words_per_minute, 80, 450),
        ("sample_rate_hz", sample_rate_hz, 4000, 48000),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if not low <= value <= high:
            raise DataError(f"{name} is {value}: it must be between {low} and {high}")
    held_out = max(1, math.floor(HELD_OUT_SHARE * num_utterances))
    num_test = held_out if num_test is None else num_test
    if not held_out <= num_test <= 100_000:
        raise DataError(
            f"num_test is {num_test}: it must be between {held_out}, as many as there are without "
            "it, and 100000"
        )
    utterances = [
        Utterance(words, voice, words_per_minute)
        for words, voice in zip(
            itertools.islice(texts.texts(domain, seed), num_utterances + num_test - held_out),
            itertools.cycle(voices),
            strict=False,
        )
    ]
    return {
        "train": utterances[2 * held_out : num_utterances],
        "validation": utterances[:held_out],
        "test": utterances[held_out : 2 * held_out] + utterances[num_utterances:],
    }


def _rescaled(parts: Sequence[Span], from_hz: int, to_hz: int, length: int) -> tuple[Span, ...]:
    """Spans at another rate, within a recording of `length` samples."""

    def moved(sample: int) -> int:
        return min(round(sample * to_hz / from_hz), length)

    return tuple(
        dataclasses.replace(part, start=moved(part.start), end=moved(part.end)) for part in parts
    )
