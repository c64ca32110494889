"""Single notes of a SoundFont, by the synthesiser rustysynth.

The synthesiser is in the package `midirenderer` (MIT). The SoundFont is TimGM6mb, of Tim Brechbill
(GPL-2.0), which the package `pretty_midi` carries; nothing else of that package is used. The extra
`notes` installs both.
"""

import dataclasses
import functools
import importlib.metadata
import io
import pathlib

import numpy as np
import soundfile

from data.errors import DataError

SOUNDFONT = ("pretty_midi", "TimGM6mb.sf2")
"""The distribution that carries the SoundFont, and its file."""
REMEDY = "pip install .[notes] has it"

# Of MIDI: a status byte with its channel, 0, and controllers.
_NOTE_OFF, _NOTE_ON, _CONTROL, _PROGRAM, _PITCH_BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
_REVERB, _CHORUS = 91, 93
_BEND_CENTS = 200  # that the pitch wheel, of 14 bits, reaches on either side
_TEMPO = b"\xff\x51\x03" + (1_000_000).to_bytes(3, "big")  # microseconds a quarter
_END = b"\xff\x2f\x00"
_TICKS_A_QUARTER = 1000  # so that a tick is a millisecond


@dataclasses.dataclass(frozen=True)
class Note:
    """A note to render, dry: without the synthesiser's reverb and chorus.

    Attributes:
      program: of General MIDI, from 0.
      pitch, velocity: of MIDI, 0 to 127, velocity from 1.
      held_ms: for how long it is held.
      length_ms: of its sound, its release included.
      cents: by which it is tuned higher than its pitch, from -200 to 199.
    """

    program: int
    pitch: int
    velocity: int
    held_ms: int
    length_ms: int
    cents: int = 0


def render(note: Note) -> tuple[np.ndarray, int]:
    """The sound of a note: float64 `[N]` in units of 1/32768 of full scale, and its rate in Hz.

    Raises:
      DataError: the extra `notes` is not installed.
    """
    try:
        import midirenderer
    except ImportError:
        raise DataError(f"midirenderer is not installed: {REMEDY}") from None
    wav = midirenderer.render_wave_from(soundfont(), midi_file(note))
    samples, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float64", always_2d=True)
    length = note.length_ms * rate_hz // 1000
    mono = samples.mean(axis=1)[:length]
    return 32768 * np.pad(mono, (0, length - len(mono))), rate_hz


@functools.cache
def soundfont() -> bytes:
    """The content of the SoundFont.

    Raises:
      DataError: the extra `notes` is not installed.
    """
    package, name = SOUNDFONT
    try:
        path = importlib.metadata.distribution(package).locate_file(f"{package}/{name}")
        return pathlib.Path(str(path)).read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError):
        raise DataError(
            f"The SoundFont {name} of the package {package} is not installed: {REMEDY}"
        ) from None


def midi_file(note: Note) -> bytes:
    """A Standard MIDI File (format 0) of one note, which lasts until its sound ends."""
    bend = 2**13 + round(2**13 * note.cents / _BEND_CENTS)
    track = b"".join(
        _number(after_ms) + event
        for after_ms, event in (
            (0, _TEMPO),
            (0, bytes([_CONTROL, _REVERB, 0])),
            (0, bytes([_CONTROL, _CHORUS, 0])),
            (0, bytes([_PROGRAM, note.program])),
            (0, bytes([_PITCH_BEND, bend & 0x7F, bend >> 7])),
            (0, bytes([_NOTE_ON, note.pitch, note.velocity])),
            (note.held_ms, bytes([_NOTE_OFF, note.pitch, 0])),
            (note.length_ms - note.held_ms, _END),
        )
    )
    header = b"".join(number.to_bytes(2, "big") for number in (0, 1, _TICKS_A_QUARTER))
    return _part(b"MThd", header) + _part(b"MTrk", track)


def _part(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "big") + content


def _number(value: int) -> bytes:
    """A number of variable length: seven bits a byte, all but the last with the highest bit."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(0x80 | value & 0x7F)
    return bytes(reversed(parts))
