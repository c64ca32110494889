"""Long recordings cut at pauses, their texts with them.

The text is aligned with the recording (`data.text.alignment`), which places its words. A
recording longer than `MAX_PART_S` is cut in the middle of a pause between two words, the parts
again, until none is longer or has a pause to cut at. Pauses after punctuation come first, then the
longest: there the alignment is rarely a word off. A text is cut at white space alone, so that
the texts of the parts are its words in their order, with their punctuation.
"""

import bisect
import itertools
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.text import alignment
from data.text.spans import Alignment, Speech

MAX_PART_S = 12.0
MIN_PART_S = 1.0
MIN_PAUSE_S = 0.2  # closures of plosives are shorter
MAX_RECORDING_S = 600.0  # frames of the alignment are then 75 ms


class Part(NamedTuple):
    """A part of a recording, in seconds from its start, and the text of it."""

    start_s: float
    end_s: float
    text: str


class Pause(NamedTuple):
    """A pause in a recording.

    Attributes:
      start_s, end_s: From the recording's start.
      word: The number of words of the text before it, counted between white space.
      punctuated: Whether the last of these ends with a sign that is neither letter nor digit.
    """

    start_s: float
    end_s: float
    word: int
    punctuated: bool

    @property
    def middle_s(self) -> float:
        """Where it is cut."""
        return (self.start_s + self.end_s) / 2


def parts(
    path: os.PathLike[str] | str,
    text: str,
    speech: Speech,
    samples: np.ndarray,
    sample_rate_hz: int,
) -> list[Part]:
    """The parts of a recording, at least one, which tile it.

    Args:
      path: Of the recording, for messages.
      text: Of the recording.
      speech: The text, synthesised.
      samples: int16 `[N]`.
      sample_rate_hz: Of the samples.

    Raises:
      DataError: as `alignment.align` does of a recording of up to `MAX_RECORDING_S`.
    """
    found = alignment.align(path, speech, samples, sample_rate_hz, max_s=MAX_RECORDING_S)
    length_s = len(samples) / sample_rate_hz
    cuts = chosen(pauses(text, speech, found, sample_rate_hz), 0.0, length_s)
    words = text.split()
    edges = [(0.0, 0), *((cut.middle_s, cut.word) for cut in cuts), (length_s, len(words))]
    return [
        Part(start_s, end_s, " ".join(words[first:last]))
        for (start_s, first), (end_s, last) in itertools.pairwise(edges)
    ]


def pauses(text: str, speech: Speech, found: Alignment, sample_rate_hz: int) -> list[Pause]:
    """The pauses between words of a text that its alignment with a recording found."""
    # eSpeak speaks several words where the text has one, such as a number.
    begun = [match.start() for match in re.finditer(r"\S+", text)]
    words = [max(0, bisect.bisect_right(begun, place) - 1) for place in speech.places]
    spoken = itertools.pairwise(zip(found.words, words, strict=True))
    between = [
        Pause(
            before.end / sample_rate_hz,
            after.start / sample_rate_hz,
            word,
            punctuated=not text.split()[word - 1][-1].isalnum(),
        )
        for (before, last), (after, word) in spoken
        if word > last
    ]
    return [pause for pause in between if pause.end_s - pause.start_s >= MIN_PAUSE_S]


def chosen(pauses: Sequence[Pause], start_s: float, end_s: float) -> list[Pause]:
    """The pauses to cut at between two times, in order.

    Parts are of `MIN_PART_S` or more, and of `MAX_PART_S` or less where they have another pause.
    """
    if end_s - start_s <= MAX_PART_S:
        return []
    inside = [
        pause for pause in pauses if start_s + MIN_PART_S <= pause.middle_s <= end_s - MIN_PART_S
    ]
    if not inside:
        return []
    best = max(inside, key=lambda pause: (pause.punctuated, pause.end_s - pause.start_s))
    return [*chosen(inside, start_s, best.middle_s), best, *chosen(inside, best.middle_s, end_s)]
