"""Answers of listeners: files of ours, and what webMUSHRA collects.

A file of ours is `NAME.jsonl`, of one listener, JSON lines. The first names the test and the
session, each other one a trial and its answer, in any order and each trial once:

    {"version": 1, "test": "0123456789abcdef", "session": 3}
    {"trial": 0, "answer": [4]}

An answer is a list of whole numbers: one from 1 to 5 (mos); -1 for the first, 1 for the second or
0 for neither (preference); -3 to 3, how much better the second is (comparison); 0 to 100 for each
sound of the trial, in its order (mushra). The files come from strangers: whatever is no such thing
is refused in one sentence, and nothing in them is used as a path. What follows the last newline
and is no JSON is the beginning of an answer that a killed server did not finish, and no answer.
"""

import contextlib
import csv
import json
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from experiments.listening.description import (
    COMPARISON,
    LOW_ANCHOR,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    PREFERENCE,
    RECORDING,
    Test,
)
from wavenet_jax import InputError

VERSION = 1
SUFFIX = ".jsonl"
RANGES = {MOS: (1, 5), PREFERENCE: (-1, 1), COMPARISON: (-3, 3), MUSHRA: (0, 100)}
MAX_FILE_BYTES, MAX_FILES, MAX_LINE_BYTES = 2**20, 10_000, 4096
MAX_CSV_BYTES, MAX_CSV_LINES = 2**26, 10**6
MADE_UP = "made_up_"
"""How names of listeners begin who do not exist."""

LISTENER = re.compile(r"[A-Za-z0-9_-]{1,64}")
WEBMUSHRA = {"reference": RECORDING, "anchor35": LOW_ANCHOR, "anchor70": MID_ANCHOR}
"""What webMUSHRA calls the sounds that it adds."""


class Listener(NamedTuple):
    """What one listener answered.

    Attributes:
      name: of the file, without its ending.
      session: the index of the session.
      answers: by the index of the trial.
    """

    name: str
    session: int
    answers: Mapping[int, tuple[int, ...]]


def read_folder(folder: pathlib.Path, test: Test) -> tuple[list[Listener], dict[str, str]]:
    """The answers in a folder, in the order of the files' names.

    Returns:
      The listeners, and of each file that cannot be used the reason, by its name without the
      ending.

    Raises:
      InputError: there are no files, or too many, or none can be used.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not 0 < len(paths) <= MAX_FILES:
        raise InputError(
            f"{folder} has {len(paths)} files *{SUFFIX} of answers: give a folder with 1 to "
            f"{MAX_FILES}."
        )
    listeners: list[Listener] = []
    refused: dict[str, str] = {}
    for path in paths:
        try:
            listeners.append(_read(path, test))
        except ValueError as error:
            refused[path.stem] = f"the file cannot be used: {error}"
    if not listeners:
        read(paths[0], test)  # says why
    return listeners, refused


def read(path: pathlib.Path, test: Test) -> Listener:
    """The answers of one listener.

    Raises:
      InputError: the file breaks a rule; the sentence has its name and the line.
    """
    try:
        return _read(path, test)
    except ValueError as error:
        raise InputError(
            f"{path} cannot be used: {error}; mend it, or take the file away."
        ) from error


def _read(path: pathlib.Path, test: Test) -> Listener:
    """As `read`, but raises ValueError with the reason alone."""
    if not LISTENER.fullmatch(path.stem):
        raise ValueError("its name is not of letters, digits, '-' and '_'")
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"it is no file of up to {MAX_FILE_BYTES} bytes")
        lines = without_torn_end(path.read_bytes()).splitlines() or [b""]
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    found: dict[int, tuple[int, ...]] = {}
    try:
        session = _session(lines[0], test)
    except ValueError as error:
        raise ValueError(f"line 1, {error}") from error
    for number, line in enumerate(lines[1:], start=2):
        try:
            entry = fields_of(line, {"trial", "answer"})
            trial, answer = checked(test, session, entry["trial"], entry["answer"])
            if trial in found:
                raise ValueError(f"trial {trial} is answered twice")
        except ValueError as error:
            raise ValueError(f"line {number}, {error}") from error
        found[trial] = answer
    return Listener(path.stem, session, found)


def _session(line: bytes, test: Test) -> int:
    """The session that the first line of a file names."""
    head = fields_of(line, {"version", "test", "session"})
    if head["version"] != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    if head["test"] != test.id:
        raise ValueError(f"it is of another test, and this one is {test.id}")
    return _whole(head["session"], 0, len(test.sessions) - 1)


def fields_of(line: bytes, fields: set[str]) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
      ValueError: it is none, or has other fields.
    """
    value = None
    if len(line) <= MAX_LINE_BYTES:
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(line)
    if not isinstance(value, dict) or value.keys() != fields:
        raise ValueError(f"it is no JSON object of {', '.join(sorted(fields))}")
    return value


def checked(test: Test, session: int, trial: Any, answer: Any) -> tuple[int, tuple[int, ...]]:
    """A trial of a session and an answer to it.

    Raises:
      ValueError: they are not.
    """
    trials = test.sessions[session]
    trial = _whole(trial, 0, len(trials) - 1)
    length = len(trials[trial].sounds) if test.kind == MUSHRA else 1
    if not isinstance(answer, list) or len(answer) != length:
        raise ValueError(f"the answer is no list of {length}")
    return trial, tuple(_whole(each, *RANGES[test.kind]) for each in answer)


def without_torn_end(content: bytes) -> bytes:
    """The content of a file, without the beginning of a line that was not finished."""
    whole, newline, rest = content.rpartition(b"\n")
    try:
        json.loads(rest or b"0")
    except (ValueError, RecursionError):
        return whole + newline
    return content


def head_line(test: Test, session: int) -> bytes:
    """The first line of a listener's file."""
    return _line({"version": VERSION, "test": test.id, "session": session})


def answer_line(trial: int, answer: tuple[int, ...]) -> bytes:
    """A line of an answer."""
    return _line({"trial": trial, "answer": list(answer)})


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def read_webmushra(path: pathlib.Path) -> dict[tuple[str, str, str], float]:
    """The scores of webMUSHRA's `mushra.csv`, by listener, text and system.

    A listener is the column `session_uuid`, or else what the participant was asked for; a text is
    `trial_id`, a system `rating_stimulus`, with `WEBMUSHRA` for the sounds that it adds.

    Raises:
      InputError: it is no such table, or a score is missing, no number of 0 to 100, or there twice.
    """
    if not path.is_file() or path.stat().st_size > MAX_CSV_BYTES:
        _refuse(path, 0, f"it is no file of up to {MAX_CSV_BYTES} bytes")
    scores: dict[tuple[str, str, str], float] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            head = next(rows, [])
            columns = {name: i for i, name in enumerate(head)}
            missing = {"trial_id", "rating_stimulus", "rating_score"} - columns.keys()
            if missing or len(columns) < len(head):
                _refuse(path, 1, "its columns are not those of webMUSHRA's mushra.csv")
            asked = [columns["session_uuid"]] if "session_uuid" in columns else None
            if asked is None:
                asked = list(range(1, columns["trial_id"]))
            if not asked:
                _refuse(path, 1, "no column tells the listeners apart, such as session_uuid")
            for number, row in enumerate(rows, start=2):
                if len(row) != len(head) or number > MAX_CSV_LINES:
                    _refuse(path, number, f"it has not {len(head)} columns")
                listener = " ".join(row[i] for i in asked)
                system = row[columns["rating_stimulus"]]
                key = (listener, row[columns["trial_id"]], WEBMUSHRA.get(system, system))
                if not all(0 < len(name) <= 100 and name.isprintable() for name in key):
                    _refuse(path, number, "a name is empty, or longer than 100 characters")
                if key in scores:
                    _refuse(
                        path, number, f"{key[1]!r} of {key[2]!r} is scored twice by {listener!r}"
                    )
                scores[key] = _score(path, number, row[columns["rating_score"]])
    except (UnicodeDecodeError, csv.Error) as error:
        _refuse(path, 0, f"it is no table ({type(error).__name__})")
    if not scores:
        _refuse(path, 1, "it has no scores")
    return scores


def _score(path: pathlib.Path, number: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        _refuse(path, number, f"the score {text[:20]!r} is no number of 0 to 100")
    return value


def _whole(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{str(value)[:20]!r} is no whole number of {low} to {high}")
    return value


def _refuse(path: pathlib.Path, number: int, reason: str) -> NoReturn:
    where = f"line {number}, " if number else ""
    raise InputError(f"{path} cannot be used: {where}{reason}; mend it, or take the file away.")
