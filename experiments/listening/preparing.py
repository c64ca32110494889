"""Listening tests laid out from recordings and the sounds of systems, as one folder.

test.json          the description (`description`)
sound_0000.wav     the sounds, in an order that tells nothing of systems and texts
"""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
import soundfile

from data.audio import reading
from experiments.listening import description, design, screening, sounds
from experiments.listening.description import (
    CONTROL,
    DEGRADED,
    ITEM,
    LOW_ANCHOR,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    RECORDING,
    REPEAT,
    Sound,
    Trial,
)
from wavenet_jax import InputError, model_folder

DEFAULT_LISTENERS = 24
DEFAULT_CONTROLS = 10
"""So many that one careless answer among them does not drop a listener."""

DEFAULT_REPEATS = 2
DEFAULT_LOUDNESS_LUFS = -23.0
DEFAULT_SILENCE_DB = 40.0
ANCHORS_HZ = {LOW_ANCHOR: 3500.0, MID_ANCHOR: 7000.0}


def prepare(
    out: str | os.PathLike[str],
    *,
    kind: str,
    recordings: str | os.PathLike[str],
    systems: Mapping[str, str | os.PathLike[str]],
    with_recordings: bool = True,
    num_texts: int | None = None,
    num_listeners: int = DEFAULT_LISTENERS,
    num_controls: int = DEFAULT_CONTROLS,
    num_repeats: int = DEFAULT_REPEATS,
    sample_rate_hz: int | None = None,
    loudness_lufs: float = DEFAULT_LOUDNESS_LUFS,
    silence_db: float = DEFAULT_SILENCE_DB,
    seed: int = 0,
) -> description.Test:
    """Writes a listening test, which appears once it is complete.

    Args:
      out: its folder, which is new or empty.
      kind: `mos`, opinions of single sounds from 1 to 5 (ITU-T P.800, annex B); `preference`, one
        of two, or none; `comparison`, the second against the first from -3 to 3 (P.800, annex E);
        `mushra`, all of a text from 0 to 100 beside the recording, with the recording and two
        anchors hidden among them (ITU-R BS.1534-3).
      recordings: folder of wav files, one a text.
      systems: folders with files of the same names, by the name of the system.
      with_recordings: whether the recordings are a system too, as always in MUSHRA.
      num_texts: how many of the recordings, the first by name; all by default.
      num_listeners: sessions to plan.
      num_controls: trials of a session with a known answer: recordings and, for the most clearly
        worse, recordings with noise that follows them (`sounds.modulated_noise`). MUSHRA has
        none, for its hidden recordings are the control.
      num_repeats: trials of a session that come twice.
      sample_rate_hz: of the sounds; that of the recordings by default.
      loudness_lufs: of the sounds, or as near to it as the peaks allow.
      silence_db: sound this far below the loudest is trimmed from the ends.
      seed: everything random follows from it.

    Returns:
      The test.

    Raises:
      InputError, data.DataError: invalid input.
    """
    folder = pathlib.Path(out)
    model_folder.require_new(folder)
    _compared(kind, list(systems), with_recordings)  # refused before their folders are looked at
    paths = _paths(pathlib.Path(recordings), systems, num_texts)
    texts = [path.stem for path in paths[RECORDING]]
    if sample_rate_hz is None:
        sample_rate_hz = reading.common_header(
            paths[RECORDING], any_rate=False, any_channels=True
        ).sample_rate_hz
    test = describe(
        kind,
        list(systems),
        texts,
        with_recordings=with_recordings,
        num_listeners=num_listeners,
        num_controls=num_controls,
        num_repeats=num_repeats,
        sample_rate_hz=sample_rate_hz,
        loudness_lufs=loudness_lufs,
        seed=seed,
    )
    notices = reading.Notices()
    made: dict[Sound, np.ndarray] = {}
    for system in (RECORDING, *systems):
        for text, path in zip(texts, paths[system], strict=True):
            made[Sound(system, text)] = sounds.read(path, sample_rate_hz, silence_db, notices)
    for i, text in enumerate(texts):
        recording = made[Sound(RECORDING, text)]
        made[Sound(DEGRADED, text)] = sounds.modulated_noise(
            recording, np.random.default_rng([seed, 4, i])
        )
        for anchor, pass_hz in ANCHORS_HZ.items() if kind == MUSHRA else ():
            made[Sound(anchor, text)] = sounds.low_passed(recording, sample_rate_hz, pass_hz)
    levelled, level = sounds.of_one_loudness(
        [made[sound] for sound in test.sounds.values()],
        [f"{sound.text} of {sound.system}" for sound in test.sounds.values()],
        sample_rate_hz,
        loudness_lufs,
    )
    notices.log()
    test = dataclasses.replace(test, loudness_lufs=round(level, 2))
    _write(test, dict(zip(test.sounds, levelled, strict=True)), folder)
    return test


def describe(
    kind: str,
    systems: Sequence[str],
    texts: Sequence[str],
    *,
    with_recordings: bool = True,
    num_listeners: int = DEFAULT_LISTENERS,
    num_controls: int = DEFAULT_CONTROLS,
    num_repeats: int = DEFAULT_REPEATS,
    sample_rate_hz: int,
    loudness_lufs: float = DEFAULT_LOUDNESS_LUFS,
    seed: int = 0,
) -> description.Test:
    """A listening test without its sounds, of which it has the names.

    Args:
      systems: their names.
      texts: their names.
      The others are those of `prepare`.

    Raises:
      InputError: invalid input.
    """
    compared = _compared(kind, systems, with_recordings)
    num_controls = 0 if kind == MUSHRA else num_controls
    _check_numbers(kind, len(texts), len(compared), num_listeners, num_controls, num_repeats)
    random = np.random.default_rng([seed, 2])
    sessions = _sessions(
        kind, texts, compared, num_listeners, num_controls, num_repeats, seed, random
    )
    used = {sound for session in sessions for _, shown, _ in session for sound in shown}
    # The open reference of MUSHRA is a file of its own, or its name would tell the hidden one.
    files = [(sound, False) for sound in sorted(used, key=dataclasses.astuple)]
    files += [(Sound(RECORDING, text), True) for text in texts if kind == MUSHRA]
    names = {files[i]: f"sound_{n:04}.wav" for n, i in enumerate(random.permutation(len(files)))}
    return description.Test(
        kind=kind,
        sample_rate_hz=sample_rate_hz,
        loudness_lufs=loudness_lufs,
        seed=seed,
        systems=tuple(compared),
        texts=tuple(texts),
        sounds={name: sound for (sound, _), name in names.items()},
        sessions=tuple(
            tuple(
                Trial(
                    role,
                    tuple(names[sound, False] for sound in shown),
                    names[Sound(RECORDING, text), True] if kind == MUSHRA else "",
                )
                for role, shown, text in session
            )
            for session in sessions
        ),
    )


Presented = tuple[str, list[Sound], str]
"""A trial: its role, its sounds in order, and its text."""


def _sessions(
    kind: str,
    texts: Sequence[str],
    compared: Sequence[str],
    num_listeners: int,
    num_controls: int,
    num_repeats: int,
    seed: int,
    random: np.random.Generator,
) -> list[list[Presented]]:
    """The trials of each listener."""
    pairs = description.pairs_of(compared)
    square = design.williams_square(len(compared))
    labels = random.permutation(len(compared))
    controls = [texts[i % len(texts)] for i in random.permutation(max(len(texts), num_controls))]
    num_conditions = {MOS: len(compared), MUSHRA: 1}.get(kind, len(pairs))
    sessions = []
    for listener, slots in enumerate(design.plan(len(texts), num_conditions, num_listeners, seed)):
        drawn = np.random.default_rng([seed, 3, listener])
        items: list[Presented] = []
        for slot in slots:
            if kind == MOS:
                shown = [compared[labels[slot.condition]]]
            elif kind == MUSHRA:
                row = square[(listener + len(items)) % len(square)]
                shown = [compared[labels[i]] for i in row]
            else:
                shown = list(pairs[slot.condition])[:: -1 if slot.is_turned else 1]
            text = texts[slot.text]
            items.append((ITEM, [Sound(system, text) for system in shown], text))
        session: list[Presented] = []
        is_first = drawn.permutation(np.arange(num_controls) % 2 == 0)
        for role, i in design.with_extras(len(items), num_controls, num_repeats, drawn):
            if role == CONTROL:
                shown = [RECORDING, DEGRADED][:: 1 if is_first[i] else -1]
                shown = shown[:1] if kind == MOS else shown
                text = controls[(listener + i) % len(controls)]
                session.append((CONTROL, [Sound(system, text) for system in shown], text))
            else:
                _, sounds_of, text = items[i]
                # What is repeated comes the other way round.
                session.append((role, sounds_of[:: -1 if role == REPEAT else 1], text))
        sessions.append(session)
    return sessions


def _compared(kind: str, names: Sequence[str], with_recordings: bool) -> list[str]:
    """The systems of a test, those that it adds included."""
    if kind not in description.KINDS:
        raise InputError(f"The kind is {kind!r}: use one of {', '.join(description.KINDS)}.")
    for name in names:
        if not description.NAME.fullmatch(name) or name in description.RESERVED:
            raise InputError(
                f"A system is named {name!r}: use letters, digits, '-', '_' and '.', and none of "
                f"{', '.join(description.RESERVED)}."
            )
    if kind == MUSHRA:
        compared = [RECORDING, *names, MID_ANCHOR, LOW_ANCHOR]
        if len(compared) > description.MAX_MUSHRA_SOUNDS:
            raise InputError(
                f"{len(names)} systems are {len(compared)} sounds a trial, and BS.1534 allows "
                f"{description.MAX_MUSHRA_SOUNDS}: compare fewer."
            )
    else:
        compared = [RECORDING, *names] if with_recordings else list(names)
    if not names or (
        kind in (description.PREFERENCE, description.COMPARISON) and len(compared) < 2
    ):
        raise InputError("There is nothing to compare: name more systems with --system=NAME=DIR.")
    if len(compared) > description.MAX_SYSTEMS:
        raise InputError(f"There are {len(compared)} systems, more than {description.MAX_SYSTEMS}.")
    return compared


def _paths(
    recordings: pathlib.Path,
    systems: Mapping[str, str | os.PathLike[str]],
    num_texts: int | None,
) -> dict[str, list[pathlib.Path]]:
    """The files of each system, in the order of the recordings' names."""
    if not recordings.is_dir():
        raise InputError(f"{recordings} is no folder: give one of wav files as --recordings.")
    originals = sorted(path for path in recordings.iterdir() if path.suffix.lower() == ".wav")
    if not originals or (num_texts is not None and num_texts > len(originals)):
        raise InputError(
            f"{recordings} has {len(originals)} wav files, and {num_texts or 'some'} are needed."
        )
    originals = originals[:num_texts]
    for path in originals:
        if not description.NAME.fullmatch(path.stem):
            raise InputError(
                f"{path} has a name that is not allowed: use up to 100 letters, digits, '-', '_', "
                "'.' and spaces."
            )
    paths = {RECORDING: originals}
    for system, folder in systems.items():
        paths[system] = [pathlib.Path(folder) / path.name for path in originals]
        for path in paths[system]:
            if not path.is_file():
                raise InputError(
                    f"{path} is missing, which {system} needs for the recording of that name: "
                    "generate it, or take the recording away."
                )
    return paths


def _check_numbers(
    kind: str,
    num_texts: int,
    num_systems: int,
    num_listeners: int,
    num_controls: int,
    num_repeats: int,
) -> None:
    num_pairs = num_systems * (num_systems - 1) // 2
    needed = {MOS: num_systems, MUSHRA: 2}.get(kind, num_pairs)
    if num_texts < needed:
        raise InputError(
            f"There are {num_texts} texts, and each listener needs {needed} to hear what is "
            "compared: give more recordings, or fewer systems."
        )
    if not 1 <= num_listeners <= description.MAX_SESSIONS:
        raise InputError(
            f"--num_listeners is {num_listeners}: give 1 to {description.MAX_SESSIONS}."
        )
    if 0 < num_controls < screening.MIN_CONTROLS:
        raise InputError(
            f"--num_controls is {num_controls}, which could not show that anybody listens: give "
            f"0, or at least {screening.MIN_CONTROLS}."
        )
    if num_controls < 0 or not 0 <= num_repeats <= num_texts // 2:
        raise InputError(
            f"--num_controls is {num_controls} and --num_repeats {num_repeats}: give none or "
            f"more, and no more repeats than half of the {num_texts} texts."
        )
    if num_texts + num_controls + num_repeats > description.MAX_TRIALS:
        raise InputError(
            f"A session has {num_texts + num_controls + num_repeats} trials, more than "
            f"{description.MAX_TRIALS}: choose fewer with --num_texts."
        )


def _write(test: description.Test, samples: Mapping[str, np.ndarray], folder: pathlib.Path) -> None:
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}.", dir=folder.absolute().parent
        ) as beside:
            unfinished = pathlib.Path(beside) / folder.name
            unfinished.mkdir()
            for name, sound in samples.items():
                soundfile.write(unfinished / name, sound, test.sample_rate_hz, subtype="PCM_16")
            description.write(test, unfinished)
            unfinished.rename(folder)
    except OSError as error:
        raise InputError(
            f"The test could not be written to {folder} ({error.strerror}): free some space or "
            "choose another folder."
        ) from error
