"""Single notes of a SoundFont (GPL-2.0), made on the spot.

Every instrument plays the same pitches. Test and validation hold, of each instrument, pitches that
are trained with other instruments alone, so that no class of a label is untrained.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import soxr
import tensorflow_datasets as tfds
import tqdm

from data.audio import reading, soundfont
from data.builders.base import AudioDatasetBuilder
from data.builders.records import Example, RecordingReader
from data.errors import DataError

PROGRAMS = {
    "piano": 0,
    "vibraphone": 11,
    "organ": 20,
    "guitar": 24,
    "violin": 40,
    "trumpet": 56,
    "clarinet": 71,
    "flute": 73,
    "honky_tonk": 3,
    "electric_piano": 4,
    "harpsichord": 6,
    "clavinet": 7,
    "marimba": 12,
    "xylophone": 13,
    "dulcimer": 15,
    "drawbar_organ": 16,
    "church_organ": 19,
    "accordion": 21,
    "harmonica": 22,
    "steel_guitar": 25,
    "jazz_guitar": 26,
    "muted_guitar": 28,
    "overdriven_guitar": 29,
    "distortion_guitar": 30,
    "acoustic_bass": 32,
    "slap_bass": 36,
    "viola": 41,
    "cello": 42,
    "choir": 52,
    "voice": 53,
    "trombone": 57,
    "tuba": 58,
    "muted_trumpet": 59,
    "brass": 61,
    "synth_brass": 62,
    "soprano_sax": 64,
    "alto_sax": 65,
    "tenor_sax": 66,
    "baritone_sax": 67,
    "oboe": 68,
    "english_horn": 69,
    "bassoon": 70,
    "piccolo": 72,
    "recorder": 74,
    "pan_flute": 75,
    "ocarina": 79,
    "square_lead": 80,
    "sawtooth_lead": 81,
}
"""Programs of General MIDI, from 0, that hold a pitch."""
FAMILIES = tuple(PROGRAMS)[:8]
"""One instrument of each family. They come first in `PROGRAMS`: which pitches an instrument holds
out depends on its place, so that of the eight they are the same alone and among all."""
ALL = "all"
"""In place of the names of all instruments."""
PITCHES = range(60, 84)
"""Of MIDI: two octaves from middle C, which all these instruments can play."""
VELOCITIES = (60, 90, 120)
TUNINGS_CENTS = (-12, 0, 12)
"""No player hits a pitch exactly."""
MAX_MOVED = 6
"""Semitones."""
HELD_MS, LENGTH_MS = 750, 1000
GAIN = 4.0
"""The synthesiser leaves room for many notes at a time; the loudest now peaks at -4 dB."""
HELD_OUT_EVERY = 8
"""Of so many semitones an instrument holds out one for test, and that halfway to the next for
validation; the next instrument holds out those a semitone higher."""


@dataclasses.dataclass(frozen=True)
class Played:
    """A note of an instrument.

    Attributes:
      instrument: its name, of `PROGRAMS`.
      pitch, velocity: of MIDI.
      cents: by which it is tuned higher.
      moved: semitones; the note that many below is played faster, so that it has this pitch.
    """

    instrument: str
    pitch: int
    velocity: int
    cents: int
    moved: int = 0


@dataclasses.dataclass(frozen=True)
class NoteReader(RecordingReader):
    """Renders notes."""

    sample_rate_hz: int

    def recordings(self, item: Played, notices: reading.Notices) -> Iterator[Example]:
        speed = 2 ** (item.moved / 12)
        note = soundfont.Note(
            PROGRAMS[item.instrument],
            item.pitch - item.moved,
            item.velocity,
            round(HELD_MS * speed),
            math.ceil(LENGTH_MS * speed),
            item.cents,
        )
        samples, rate_hz = soundfont.render(note)
        resampled = soxr.resample(GAIN * samples, rate_hz * speed, self.sample_rate_hz)
        name = f"{item.instrument}-{item.pitch:03}-{item.velocity:03}{item.cents:+03}"
        yield {
            "audio": reading.to_int16(resampled[: LENGTH_MS * self.sample_rate_hz // 1000]),
            "recording": name + (f"-moved{item.moved:+}" if item.moved else ""),
            "start": 0,
            "instrument": item.instrument,
            "pitch": str(item.pitch),
            "velocity": item.velocity,
        }


class Builder(AudioDatasetBuilder):
    """Options: `sample_rate_hz`; `instruments`: names of `PROGRAMS`, or `ALL`, `FAMILIES` by
    default; and `moved_semitones`, by which `plan` moves train notes.

    A note is one example of 1 s: held for 750 ms, then released. Its labels are `instrument`,
    `pitch` (a MIDI number as a class) and `velocity`, those of `nsynth`. Each is there in every one
    of `VELOCITIES` and `TUNINGS_CENTS`.
    """

    VERSION = tfds.core.Version("2.0.0")

    LICENCE = "made here from TimGM6mb, a SoundFont of Tim Brechbill under GPL-2.0"
    HOMEPAGE = "https://www.timbrechbill.com"

    PIECE_S = 0.0

    def _info(self) -> tfds.core.DatasetInfo:
        self._instruments = _instruments(**self.options)
        return self._recordings_info(
            {
                "instrument": tfds.features.ClassLabel(names=list(self._instruments)),
                "pitch": tfds.features.ClassLabel(names=[str(pitch) for pitch in PITCHES]),
                "velocity": tfds.features.Scalar(np.int64, doc="of MIDI, 0 to 127"),
            },
            sample_rate_hz=self.options["sample_rate_hz"],
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Played]]:
        moved = self.options["moved_semitones"]
        return {
            split: _listed(split, notes) for split, notes in plan(self._instruments, moved).items()
        }

    def _reader(self) -> NoteReader:
        return NoteReader(self.options["sample_rate_hz"])


def _listed(split: str, notes: Sequence[Played]) -> Iterator[Played]:
    yield from tqdm.tqdm(notes, desc=split, unit=" notes")


def plan(instruments: Sequence[str], moved_semitones: int = 0) -> dict[str, list[Played]]:
    """The notes of each split: a pair of instrument and pitch is in one split alone, but for train
    notes that are moved by up to `moved_semitones`, where that leaves them in `PITCHES`. So a model
    hears each instrument at every pitch, and the notes that are held out of none."""
    splits: dict[str, list[Played]] = {"train": [], "validation": [], "test": []}
    for i, instrument in enumerate(instruments):
        for pitch in PITCHES:
            place = (pitch - PITCHES.start - i) % HELD_OUT_EVERY
            split = {0: "test", HELD_OUT_EVERY // 2: "validation"}.get(place, "train")
            splits[split] += [
                Played(instrument, pitch, velocity, cents)
                for velocity in VELOCITIES
                for cents in TUNINGS_CENTS
            ]
    splits["train"] += [
        dataclasses.replace(note, pitch=note.pitch + moved, moved=moved)
        for note in splits["train"]
        for moved in range(-moved_semitones, moved_semitones + 1)
        if moved and not note.cents and note.pitch + moved in PITCHES
    ]
    return splits


def _instruments(
    *, sample_rate_hz: int, instruments: Sequence[str] | None, moved_semitones: int
) -> tuple[str, ...]:
    """The instruments of the options.

    Raises:
      DataError: an option out of its range.
    """
    if not 4000 <= sample_rate_hz <= 48000:
        raise DataError(f"sample_rate_hz is {sample_rate_hz}: it must be between 4000 and 48000")
    if not 0 <= moved_semitones <= MAX_MOVED:
        raise DataError(f"moved_semitones is {moved_semitones}: give 0 to {MAX_MOVED}")
    chosen = tuple(FAMILIES if instruments is None else instruments)
    if chosen == (ALL,):
        chosen = tuple(PROGRAMS)
    for name in chosen:
        if name not in PROGRAMS:
            raise DataError(
                f"no instrument is called {name!r}: there are {', '.join(PROGRAMS)}, and {ALL}"
            )
    if len(chosen) < 2 or len(set(chosen)) < len(chosen):
        raise DataError(
            f"instruments is {','.join(chosen)!r}: name at least two, each once, so that a "
            "pitch that one holds out is trained with another"
        )
    return chosen
