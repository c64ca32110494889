"""eSpeak NG through ctypes: text to samples, with phones and words in time.

eSpeak NG is GPL-3.0-or-later and is loaded from the package `espeakng-loader`.
What it says depends on what it said before (its oscillators and noise run on),
so `synthesise` says everything in one fresh process, in order: the same
utterances give the same bytes.
"""

import collections
import concurrent.futures
import ctypes
import dataclasses
import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from data.errors import DataError

NATIVE_RATE_HZ = 22050
WORDS_PER_MINUTE = 150
PAUSE = "_"
STRESS_MARKS = "',%="
MOST_AHEAD = 16
STRESSES = ("none", "secondary", "primary")

# From eSpeak's speak_lib.h.
_RETRIEVAL_SYNCHRONOUS = 2
_PHONEME_EVENTS_DONT_EXIT = 0x8001
_RATE = 1
_CHARACTERS = 1
_UTF8 = 1
_END_OF_EVENTS, _WORD, _PHONEME = 0, 1, 7


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
    """What was said, at `NATIVE_RATE_HZ`.

    Phones follow one another without a gap from 0 to the last sample; words
    leave out the pauses.
    """

    samples: np.ndarray
    phones: tuple[Span, ...]
    words: tuple[Span, ...]


def synthesise(utterances: Iterable[Utterance]) -> Iterator[Speech]:
    """Says the utterances in order, a few ahead of what is taken.

    Raises:
      DataError: `espeakng-loader` is not installed, or a voice is unknown.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        ahead: collections.deque[concurrent.futures.Future[Speech]] = collections.deque()
        for utterance in utterances:
            ahead.append(process.submit(_say, utterance))
            if len(ahead) > MOST_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


class _Identity(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Engine:
    """The library, which exists once a process."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise DataError(
                "eSpeak NG is not installed: pip install .[demo] brings it (GPL-3.0-or-later)"
            ) from None
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        rate_hz = self._library.espeak_Initialize(
            _RETRIEVAL_SYNCHRONOUS,
            0,
            espeakng_loader.get_data_path().encode(),
            _PHONEME_EVENTS_DONT_EXIT,
        )
        if rate_hz != NATIVE_RATE_HZ:
            raise DataError(f"eSpeak NG speaks at {rate_hz} Hz, not {NATIVE_RATE_HZ}: reinstall it")
        self._chunks: list[np.ndarray] = []
        self._events: list[tuple[int, int, int, int, str]] = []
        self._callback: Callable[..., Any] = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if count:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for event in _each(events):
            name = event.id.string.decode() if event.type == _PHONEME else ""
            self._events.append((event.type, event.sample, event.text_position, event.length, name))
        return 0

    def say(self, utterance: Utterance) -> Speech:
        if self._library.espeak_SetVoiceByName(utterance.voice.encode()):
            raise DataError(
                f"eSpeak NG has no voice {utterance.voice!r}: try en-us, or a variant such as "
                "en-us+f2"
            )
        self._library.espeak_SetParameter(_RATE, utterance.words_per_minute, 0)
        self._library.espeak_ng_SetRandSeed(1)  # choosing a voice seeds with the time
        self._chunks.clear()
        self._events.clear()
        text = utterance.text.encode()
        self._library.espeak_Synth(text, len(text) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
        samples = np.concatenate([np.zeros(0, np.int16), *self._chunks])
        phones = _phones(self._events, len(samples))
        return Speech(samples, phones, _words(self._events, phones, utterance.text))


_engine: _Engine | None = None


def _say(utterance: Utterance) -> Speech:
    global _engine
    _engine = _engine or _Engine()
    return _engine.say(utterance)


def _each(events: Any) -> Iterator[Any]:
    i = 0
    while events[i].type != _END_OF_EVENTS:
        yield events[i]
        i += 1


def _phones(events: list[Any], length: int) -> tuple[Span, ...]:
    """Phones end where the next begins; what comes before the first is a pause."""
    heard = [(sample, name) for kind, sample, _, _, name in events if kind == _PHONEME]
    starts = [(0, PAUSE), *heard, (length, "")]
    spans = []
    for (start, name), (end, _) in itertools.pairwise(starts):
        stress = "primary" if "'" in name else "secondary" if "," in name else "none"
        bare = name.strip(STRESS_MARKS)
        if end > start:
            spans.append(Span(PAUSE if bare.startswith(PAUSE) else bare, start, end, stress))
    return tuple(spans)


def _words(events: list[Any], phones: tuple[Span, ...], text: str) -> tuple[Span, ...]:
    """A word's phones are those from its event to the next word's, less the pauses."""
    heard = [event[1:4] for event in events if event[0] == _WORD]
    limits = [start for start, _, _ in heard[1:]] + [phones[-1].end for _ in heard[:1] if phones]
    words = []
    for (start, position, length), limit in zip(heard, limits, strict=True):
        own = [p for p in phones if start <= p.start < limit and p.name != PAUSE]
        if own:
            name = text[position - 1 : position - 1 + length]
            words.append(Span(name, own[0].start, own[-1].end))
    return tuple(words)
