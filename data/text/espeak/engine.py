"""eSpeak NG through ctypes: a program that synthesises the texts that it reads.

eSpeak NG's speech depends on the texts before (its oscillators and noise continue), so
`synthesis` starts a process of this file for each sequence of utterances. The file imports
nothing of this package, so that the process starts fast.

It reads pickled (text, voice, words a minute) on its input until that ends, and writes for
each, pickled, either (samples, events) or an error message. Samples are int16
at `NATIVE_RATE_HZ`; events are (type, sample, place in the text, length in it, phone).
"""

import contextlib
import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

NATIVE_RATE_HZ = 22050

# From eSpeak's speak_lib.h.
WORD, PHONEME = 1, 7
_END_OF_EVENTS = 0
_RETRIEVAL_SYNCHRONOUS = 2
_PHONEME_EVENTS_DONT_EXIT = 0x8001
_RATE = 1
_CHARACTERS = 1
_UTF8 = 1

Event = tuple[int, int, int, int, str]


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


class EngineError(Exception):
    """eSpeak NG cannot synthesise an utterance; the message has the reason and the remedy."""


class Engine:
    """The library, which exists once a process."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise EngineError(
                "eSpeak NG is not installed: pip install .[demo] has it (GPL-3.0-or-later)"
            ) from None
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        rate_hz = self._library.espeak_Initialize(
            _RETRIEVAL_SYNCHRONOUS,
            0,
            espeakng_loader.get_data_path().encode(),
            _PHONEME_EVENTS_DONT_EXIT,
        )
        if rate_hz != NATIVE_RATE_HZ:
            raise EngineError(
                f"eSpeak NG speaks at {rate_hz} Hz, not {NATIVE_RATE_HZ}: reinstall it"
            )
        self._chunks: list[np.ndarray] = []
        self._events: list[Event] = []
        self._callback: Callable[..., Any] = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if count:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for event in _each(events):
            name = event.id.string.decode() if event.type == PHONEME else ""
            self._events.append((event.type, event.sample, event.text_position, event.length, name))
        return 0

    def synthesise(
        self, text: str, voice: str, words_per_minute: int
    ) -> tuple[np.ndarray, list[Event]]:
        """Samples and events. Raises EngineError for a voice that it does not have."""
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise EngineError(
                f"eSpeak NG has no voice {voice!r}: try en-us, or a variant such as en-us+f2"
            )
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        self._library.espeak_ng_SetRandSeed(1)  # choosing a voice seeds with the time
        self._chunks.clear()
        self._events.clear()
        content = text.encode()
        self._library.espeak_Synth(content, len(content) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
        return np.concatenate([np.zeros(0, np.int16), *self._chunks]), list(self._events)


def _each(events: Any) -> Iterator[Any]:
    i = 0
    while events[i].type != _END_OF_EVENTS:
        yield events[i]
        i += 1


def main() -> None:
    # Ctrl-C ends the parent process, and with it the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The library may print to standard output, which is for answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    engine: Engine | str
    try:
        engine = Engine()  # at once, for a process that waits for its text
    except EngineError as error:
        engine = str(error)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            request = pickle.load(sys.stdin.buffer)
            answer: Any
            try:
                answer = engine if isinstance(engine, str) else engine.synthesise(*request)
            except EngineError as error:
                answer = str(error)
            pickle.dump(answer, answers)
            answers.flush()


if __name__ == "__main__":
    main()
