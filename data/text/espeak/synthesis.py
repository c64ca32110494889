"""Text to samples, with phones and words in time, as eSpeak NG says it.

eSpeak NG is GPL-3.0-or-later and is loaded from the package `espeakng-loader`, in a process
of its own (`engine`): `synthesise` says everything in one fresh process, in order, so that
the same utterances give the same bytes.
"""

import contextlib
import dataclasses
import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from data.errors import DataError
from data.text.espeak import engine

WORDS_PER_MINUTE = 150
PAUSE = "_"
STRESS_MARKS = "',%="
STRESSES = ("none", "secondary", "primary")


@dataclasses.dataclass(frozen=True)
class Utterance:
    """What is to be said."""

    text: str
    voice: str
    words_per_minute: int


@dataclasses.dataclass(frozen=True)
class Span:
    """A phone or a word from its first sample to the sample after its last."""

    name: str
    start: int
    end: int
    stress: str = "none"


@dataclasses.dataclass(frozen=True)
class Speech:
    """What was said, at `engine.NATIVE_RATE_HZ`.

    Phones follow one another without a gap from 0 to the last sample; words
    leave out the pauses.
    """

    samples: np.ndarray
    phones: tuple[Span, ...]
    words: tuple[Span, ...]


def synthesise(utterances: Iterable[Utterance]) -> Iterator[Speech]:
    """Says the utterances in order, the next while one is taken.

    Raises:
      DataError: `espeakng-loader` is not installed, a voice is unknown, or eSpeak NG ended.
    """
    with subprocess.Popen(
        [sys.executable, "-P", engine.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        asked = None
        try:
            for utterance in utterances:
                # Nothing is asked before the last answer is read: neither waits for the other.
                said = _heard(asked, process.stdout) if asked else None
                with contextlib.suppress(BrokenPipeError):  # `_heard` tells
                    os.write(process.stdin.fileno(), pickle.dumps(dataclasses.astuple(utterance)))
                asked = utterance
                if said:
                    yield said
            if asked:
                yield _heard(asked, process.stdout)
        finally:
            process.kill()


def _heard(utterance: Utterance, answers: Any) -> Speech:
    """The next answer of the engine, which is to this utterance."""
    try:
        answer = pickle.load(answers)
    except EOFError:
        raise DataError(
            f"eSpeak NG ended while it said {utterance.text[:60]!r}: leave the text out, or "
            "reinstall espeakng-loader"
        ) from None
    if isinstance(answer, str):
        raise DataError(answer)
    samples, events = answer
    phones = _phones(events, len(samples))
    return Speech(samples, phones, _words(events, phones, utterance.text))


def _phones(events: list[engine.Event], length: int) -> tuple[Span, ...]:
    """Phones end where the next begins; what comes before the first is a pause."""
    heard = [(sample, name) for kind, sample, _, _, name in events if kind == engine.PHONEME]
    starts = [(0, PAUSE), *heard, (length, "")]
    spans = []
    for (start, name), (end, _) in itertools.pairwise(starts):
        stress = "primary" if "'" in name else "secondary" if "," in name else "none"
        bare = name.strip(STRESS_MARKS)
        if end > start:
            spans.append(Span(PAUSE if bare.startswith(PAUSE) else bare, start, end, stress))
    return tuple(spans)


def _words(events: list[engine.Event], phones: tuple[Span, ...], text: str) -> tuple[Span, ...]:
    """A word's phones are those from its event to the next word's, less the pauses."""
    heard = [event[1:4] for event in events if event[0] == engine.WORD]
    limits = [start for start, _, _ in heard[1:]] + [phones[-1].end for _ in heard[:1] if phones]
    words = []
    for (start, position, length), limit in zip(heard, limits, strict=True):
        own = [p for p in phones if start <= p.start < limit and p.name != PAUSE]
        if own:
            name = text[position - 1 : position - 1 + length]
            words.append(Span(name, own[0].start, own[-1].end))
    return tuple(words)
