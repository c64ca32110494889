"""Text to samples with phones and words in time, by eSpeak NG.

eSpeak NG is GPL-3.0-or-later and is loaded from the package `espeakng-loader`, in a process
of its own (`engine`): `synthesise` reads all texts in one fresh process, in order, so that
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

from data.errors import DataError
from data.text.espeak import engine
from data.text.spans import PAUSE, Span, Speech

WORDS_PER_MINUTE = 150
STRESS_MARKS = "',%="


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A text to synthesise."""

    text: str
    voice: str
    words_per_minute: int


Process = subprocess.Popen
"""eSpeak NG in a process of its own, of `start`."""


def start() -> Process:
    """A process that loads eSpeak NG at once, for one call of `synthesise`; `kill` ends it."""
    return Process(
        [sys.executable, "-P", engine.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def synthesise(utterances: Iterable[Utterance], process: Process | None = None) -> Iterator[Speech]:
    """Speech of the utterances in order, each synthesised while the one before is used.

    Args:
      utterances: what is to be said.
      process: a fresh one of `start`, which ends with this; None to start one.

    Raises:
      DataError: `espeakng-loader` is not installed, a voice is unknown, or eSpeak NG ended.
    """
    with process or start() as process:
        assert process.stdin is not None and process.stdout is not None
        pending = None
        try:
            for utterance in utterances:
                # The last answer is read before the next request is written, so that neither
                # process waits for the other.
                speech = _read_speech(pending, process.stdout) if pending else None
                with contextlib.suppress(BrokenPipeError):  # `_read_speech` reports it
                    os.write(process.stdin.fileno(), pickle.dumps(dataclasses.astuple(utterance)))
                pending = utterance
                if speech:
                    yield speech
            if pending:
                yield _read_speech(pending, process.stdout)
        finally:
            process.kill()


def _read_speech(utterance: Utterance, answers: Any) -> Speech:
    """The next answer of the engine, which is to this utterance."""
    try:
        answer = pickle.load(answers)
    except EOFError:
        raise DataError(
            f"eSpeak NG ended while it synthesised {utterance.text[:60]!r}: leave the text out, "
            "or reinstall espeakng-loader"
        ) from None
    if isinstance(answer, str):
        raise DataError(answer)
    samples, events = answer
    phones = _phones(events, len(samples))
    words = _words(events, phones, utterance.text)
    return Speech(
        phones,
        words=tuple(word for _, word in words),
        samples=samples,
        sample_rate_hz=engine.NATIVE_RATE_HZ,
        places=tuple(place for place, _ in words),
    )


def _phones(events: list[engine.Event], length: int) -> tuple[Span, ...]:
    """Phones end where the next begins; samples before the first are a pause."""
    begun = [(sample, name) for kind, sample, _, _, name in events if kind == engine.PHONEME]
    starts = [(0, PAUSE), *begun, (length, "")]
    spans = []
    for (start, name), (end, _) in itertools.pairwise(starts):
        stress = "primary" if "'" in name else "secondary" if "," in name else "none"
        bare = name.strip(STRESS_MARKS)
        if end > start:
            spans.append(Span(PAUSE if bare.startswith(PAUSE) else bare, start, end, stress))
    return tuple(spans)


def _words(
    events: list[engine.Event], phones: tuple[Span, ...], text: str
) -> list[tuple[int, Span]]:
    """Words with their places. A word's phones are those from its event to the next word's, less
    the pauses."""
    begun = [event[1:4] for event in events if event[0] == engine.WORD]
    limits = [start for start, _, _ in begun[1:]] + [phones[-1].end for _ in begun[:1] if phones]
    words = []
    for (start, position, length), limit in zip(begun, limits, strict=True):
        own = [p for p in phones if start <= p.start < limit and p.name != PAUSE]
        if own:
            place = position - 1
            name = text[place : place + length]
            words.append((place, Span(name, own[0].start, own[-1].end)))
    return words
