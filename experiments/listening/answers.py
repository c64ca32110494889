"""Answers of listeners: files of ours, and what webMUSHRA collects.

A file of ours is `NAME.jsonl`, of one listener, JSON lines. The first names the test and the
session, each other one a trial and its answer, in any order and each trial once:

    {"version": 1, "test": "0123456789abcdef", "session": 3}
    {"trial": 0, "answer": [4]}

An answer is a list of whole numbers: one from 1 to 5 (mos); -1 for the first, 1 for the second or
0 for neither (preference); -3 to 3, how much better the second is (comparison); 0 to 100 for each
sound of the trial, in its order (mushra). The files come from strangers: whatever is no such thing
is refused in one sentence, and nothing in them is used as a path.
"""

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


def read_folder(folder: pathlib.Path, test: Test) -> list[Listener]:
    """The answers in a folder, in the order of the files' names.

    Raises:
      InputError: there are none, or too many, or a file breaks a rule.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not 0 < len(paths) <= MAX_FILES:
        raise InputError(
            f"{folder} has {len(paths)} files *{SUFFIX} of answers: give a folder with 1 to "
            f"{MAX_FILES}."
        )
    return [read(path, test) for path in paths]


def read(path: pathlib.Path, test: Test) -> Listener:
    """The answers of one listener.

    Raises:
      InputError: the file breaks a rule; the sentence has its name and the line.
    """
    if not LISTENER.fullmatch(path.stem):
        _refuse(path, 0, "its name is not of letters, digits, '-' and '_'")
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        _refuse(path, 0, f"it is no file of up to {MAX_FILE_BYTES} bytes")
    lines = path.read_bytes().splitlines()
    head = _object(path, 1, lines[0] if lines else b"", {"version", "test", "session"})
    if head["version"] != VERSION:
        _refuse(path, 1, f"its version is not {VERSION}")
    if head["test"] != test.id:
        _refuse(path, 1, f"it is of another test, and this one is {test.id}")
    session = _whole(path, 1, head["session"], 0, len(test.sessions) - 1)
    trials = test.sessions[session]
    found: dict[int, tuple[int, ...]] = {}
    for number, line in enumerate(lines[1:], start=2):
        entry = _object(path, number, line, {"trial", "answer"})
        trial = _whole(path, number, entry["trial"], 0, len(trials) - 1)
        length = len(trials[trial].sounds) if test.kind == MUSHRA else 1
        answer = entry["answer"]
        if not isinstance(answer, list) or len(answer) != length:
            _refuse(path, number, f"the answer is no list of {length}")
        if trial in found:
            _refuse(path, number, f"trial {trial} is answered twice")
        found[trial] = tuple(_whole(path, number, x, *RANGES[test.kind]) for x in answer)
    return Listener(path.stem, session, found)


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


def _object(path: pathlib.Path, number: int, line: bytes, fields: set[str]) -> dict[str, Any]:
    value = None
    if len(line) <= MAX_LINE_BYTES:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict) or value.keys() != fields:
        _refuse(path, number, f"it is no JSON object of {', '.join(sorted(fields))}")
    return value


def _whole(path: pathlib.Path, number: int, value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        _refuse(path, number, f"{str(value)[:20]!r} is no whole number of {low} to {high}")
    return value


def _refuse(path: pathlib.Path, number: int, reason: str) -> NoReturn:
    where = f"{path}, line {number}," if number else f"{path}"
    raise InputError(f"{where} cannot be used: {reason}; mend it, or take the file away.")
