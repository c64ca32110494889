"""The description of a listening test, `test.json`: systems, texts, sounds and sessions.

    {"version": 1, "id": "...", "kind": "mos", "sample_rate_hz": 16000, "loudness_lufs": -23.0,
     "seed": 0, "systems": ["recording", "ours"], "texts": ["a", "b"],
     "sounds": {"sound_0000.wav": {"system": "ours", "text": "a"}, ...},
     "sessions": [[{"role": "item", "sounds": ["sound_0000.wav"], "reference": ""}, ...], ...]}

A session is what one listener is presented, in this order. Reading checks every field.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from data import limits
from experiments.common import files
from wavenet_jax import InputError

FILE = "test.json"
VERSION = 1
MOS, PREFERENCE, COMPARISON, MUSHRA = "mos", "preference", "comparison", "mushra"
KINDS = (MOS, PREFERENCE, COMPARISON, MUSHRA)
RECORDING, DEGRADED = "recording", "degraded"
LOW_ANCHOR, MID_ANCHOR = "anchor_3500_hz", "anchor_7000_hz"
RESERVED = (RECORDING, DEGRADED, LOW_ANCHOR, MID_ANCHOR)
"""Names of systems that a test adds itself."""

ITEM, CONTROL, REPEAT = "item", "control", "repeat"
ROLES = (ITEM, CONTROL, REPEAT)

MAX_BYTES = 2**26
MAX_SESSIONS, MAX_TRIALS, MAX_SYSTEMS, MAX_TEXTS = 10_000, 1_000, 50, 10_000
MAX_MUSHRA_SOUNDS = 12
"""Of a trial (BS.1534-3, section 5.3)."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")
SOUND = re.compile(r"sound_\d{4,6}\.wav")


@dataclasses.dataclass(frozen=True)
class Sound:
    """What a file holds: a text by a system."""

    system: str
    text: str


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a listener answers at once.

    Attributes:
      role: `item`, `control` or `repeat`, which the listener is not told.
      sounds: names of files: one (mos), two (preference, comparison) or all of a text (mushra).
      reference: name of the open reference (mushra), or "".
    """

    role: str
    sounds: tuple[str, ...]
    reference: str = ""


@dataclasses.dataclass(frozen=True)
class Test:
    """A listening test.

    Attributes:
      kind: one of `KINDS`.
      sample_rate_hz: of the sounds.
      loudness_lufs: of the sounds (ITU-R BS.1770).
      seed: that everything followed from.
      systems: that are compared.
      texts: what the systems say.
      sounds: what each file holds.
      sessions: the trials of each listener.
    """

    __test__ = False  # not one of pytest's

    kind: str
    sample_rate_hz: int
    loudness_lufs: float
    seed: int
    systems: tuple[str, ...]
    texts: tuple[str, ...]
    sounds: Mapping[str, Sound]
    sessions: tuple[tuple[Trial, ...], ...]

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the content, which answers name."""
        content = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of systems, each once."""
        return pairs_of(self.systems)


def pairs_of(systems: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The pairs of systems, each once, in the order of the systems."""
    return tuple((a, b) for i, a in enumerate(systems) for b in systems[i + 1 :])


def write(test: Test, folder: pathlib.Path) -> None:
    """Writes the description of a test into its folder, whole or not at all."""
    content = {"version": VERSION, "id": test.id, **dataclasses.asdict(test)}
    files.write_whole(folder / FILE, (json.dumps(content, indent=1) + "\n").encode())


def read(folder: pathlib.Path) -> Test:
    """The test that a folder holds.

    Raises:
      InputError: the description is missing, of another version, altered, or breaks a rule.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{path} is missing: give the folder that prepare wrote.")
    if path.stat().st_size > MAX_BYTES:
        _refuse(path, f"it has more than {MAX_BYTES} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        _refuse(path, f"it is no JSON ({type(error).__name__})")
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        _refuse(path, f"its version is {str(version)[:20]!r}, and this release reads {VERSION}")
    fields = {field.name for field in dataclasses.fields(Test)}
    if (named := set(content)) != fields | {"version", "id"}:
        wrong = sorted(named ^ (fields | {"version", "id"}))[0]
        _refuse(path, f"the field {wrong[:50]!r} is missing or unknown")
    try:
        test = Test(
            kind=_one_of(content["kind"], KINDS),
            sample_rate_hz=_whole(content["sample_rate_hz"], 1, limits.MAX_RATE_HZ),
            loudness_lufs=_loudness(content["loudness_lufs"]),
            seed=_whole(content["seed"], 0, 2**63),
            systems=_names(content["systems"], MAX_SYSTEMS),
            texts=_names(content["texts"], MAX_TEXTS),
            sounds={
                _matching(name, SOUND): _sound(sound)
                for name, sound in _typed(content["sounds"], dict).items()
            },
            sessions=tuple(
                tuple(_trial(trial) for trial in _list(session, MAX_TRIALS))
                for session in _list(content["sessions"], MAX_SESSIONS)
            ),
        )
        _check(test)
    except ValueError as error:
        _refuse(path, str(error))
    if test.id != content["id"]:
        _refuse(path, "its id is not that of its content")
    return test


def _check(test: Test) -> None:
    """Raises ValueError unless the sessions are those of the kind of test."""
    systems, texts = {*test.systems, RECORDING, DEGRADED}, set(test.texts)
    for sound in test.sounds.values():
        if sound.system not in systems:
            raise ValueError(f"a sound has the unknown system {sound.system[:50]!r}")
        if sound.text not in texts:
            raise ValueError(f"a sound has the unknown text {sound.text[:50]!r}")
    numbers = {MOS: 1, MUSHRA: len(test.systems)}
    for i, session in enumerate(test.sessions):
        for j, trial in enumerate(session):
            where = f"trial {j} of session {i}"
            references = [trial.reference] if test.kind == MUSHRA else []
            if bool(trial.reference) != bool(references):
                raise ValueError(f"{where} has a reference {trial.reference!r}")
            if any(name not in test.sounds for name in (*trial.sounds, *references)):
                raise ValueError(f"{where} names a sound that is not listed")
            if len(set(trial.sounds)) != numbers.get(test.kind, 2):
                raise ValueError(f"{where} has {len(trial.sounds)} sounds")
            sounds = [test.sounds[name] for name in (*trial.sounds, *references)]
            if len({sound.text for sound in sounds}) > 1:
                raise ValueError(f"{where} has sounds of several texts")
            shown = {sound.system for sound in sounds[: len(trial.sounds)]}
            if test.kind == MUSHRA and shown != set(test.systems):
                raise ValueError(f"{where} has not each system")
            if trial.role != CONTROL and not shown <= set(test.systems):
                raise ValueError(f"{where} has systems that are not compared")


def _refuse(path: pathlib.Path, reason: str) -> NoReturn:
    raise InputError(f"{path} cannot be used: {reason}; restore the file, or prepare again.")


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{str(value)[:50]!r} is no {kind.__name__}")
    return value


def _one_of(value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise ValueError(f"{str(value)[:50]!r} is none of {', '.join(allowed)}")
    return str(value)


def _whole(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{str(value)[:50]!r} is no whole number of {low} to {high}")
    return value


def _loudness(value: Any) -> float:
    if type(value) not in (int, float) or not -100 <= value <= 0:
        raise ValueError(f"{str(value)[:50]!r} is no loudness of -100 to 0 LUFS")
    return float(value)


def _list(value: Any, limit: int) -> list[Any]:
    if not 0 < len(_typed(value, list)) <= limit:
        raise ValueError(f"a list has {len(value)} entries, and may have 1 to {limit}")
    return list(value)


def _matching(value: Any, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(_typed(value, str)):
        raise ValueError(f"the name {value[:50]!r} is not allowed")
    return str(value)


def _names(value: Any, limit: int) -> tuple[str, ...]:
    names = tuple(_matching(name, NAME) for name in _list(value, limit))
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return names


def _with(value: Any, kind: type) -> dict[str, Any]:
    """A dict with exactly the fields of a dataclass."""
    fields = {field.name for field in dataclasses.fields(kind)}
    if set(_typed(value, dict)) != fields:
        raise ValueError(f"an entry has the fields {str(sorted(value))[:50]}")
    return dict(value)


def _sound(value: Any) -> Sound:
    return Sound(**{name: _typed(each, str) for name, each in _with(value, Sound).items()})


def _trial(value: Any) -> Trial:
    fields = _with(value, Trial)
    sounds = tuple(_typed(name, str) for name in _list(fields["sounds"], MAX_MUSHRA_SOUNDS))
    return Trial(_one_of(fields["role"], ROLES), sounds, _typed(fields["reference"], str))
