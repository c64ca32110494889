"""Answers as they come: sessions given to listeners, and a file of each, written line by line.

All state is in the files, so that a server that was stopped or killed goes on where it was. A
folder has one server at a time (`common.in_use`), which also takes away a line that a killed one
did not finish: nobody was told that it was stored, and the page sends it again.
"""

import dataclasses
import os
import pathlib
import secrets
import time
from typing import Any

from experiments.listening import answers
from experiments.listening.description import Test
from wavenet_jax import InputError

ABANDONED_S = 3600
"""A session whose listener has not answered for so long may be given to another."""


class UnknownListenerError(Exception):
    """Raised for a name that no listener has."""


@dataclasses.dataclass
class _Taken:
    """A session in the hands of a listener.

    Attributes:
      session: its index.
      answers: by the index of the trial.
      last_s: when the last answer came, in seconds since 1970.
    """

    session: int
    answers: dict[int, tuple[int, ...]]
    last_s: float


class Collection:
    """The listeners of a test, and the folder with their answers."""

    def __init__(self, test: Test, folder: str | os.PathLike[str]) -> None:
        """Reads what is in the folder, which exists, and mends what a killed server left.

        Raises:
          InputError: it has files of another test, or that break a rule.
        """
        self.test, self._folder = test, pathlib.Path(folder)
        self._taken: dict[str, _Taken] = {}
        for path in self._folder.glob(f"*{answers.SUFFIX}.part"):
            path.unlink()
        for path in sorted(self._folder.glob(f"*{answers.SUFFIX}")):
            listener = answers.read(path, test)
            _mend(path)
            self._taken[listener.name] = _Taken(
                listener.session, dict(listener.answers), path.stat().st_mtime
            )

    @property
    def num_finished(self) -> int:
        """How many listeners have answered all trials."""
        return sum(map(self._is_finished, self._taken.values()))

    @property
    def is_open(self) -> bool:
        """Whether there is a session for another listener."""
        return self._next_session() is not None

    def join(self) -> str | None:
        """Gives a session to a new listener: the first that nobody has taken or, where there is
        none, the one that was abandoned longest ago.

        Returns:
          The listener's name, or None if enough have come.

        Raises:
          OSError: it cannot be stored.
        """
        session = self._next_session()
        if session is None:
            return None
        name = secrets.token_hex(8)
        _write_first(self._path(name), answers.head_line(self.test, session))
        self._taken[name] = _Taken(session, {}, time.time())
        return name

    def session_of(self, name: str) -> int:
        """The index of a listener's session.

        Raises:
          UnknownListenerError: there is no such listener.
        """
        return self._of(name).session

    def answered(self, name: str) -> list[int]:
        """The trials that a listener has answered.

        Raises:
          UnknownListenerError: there is no such listener.
        """
        return sorted(self._of(name).answers)

    def is_finished(self, name: str) -> bool:
        """Whether a listener has answered all trials."""
        return self._is_finished(self._of(name))

    def add(self, name: str, trial: Any, answer: Any) -> bool:
        """Stores an answer, unless the trial has one: the first counts.

        Returns:
          Whether it is new.

        Raises:
          UnknownListenerError: there is no such listener.
          ValueError: it is no answer to a trial of the session.
          OSError: it cannot be stored; the file is as it was.
        """
        taken = self._of(name)
        trial, answer = answers.checked(self.test, taken.session, trial, answer)
        if trial in taken.answers:
            return False
        _append(self._path(name), answers.answer_line(trial, answer))
        taken.answers[trial], taken.last_s = answer, time.time()
        return True

    def _of(self, name: str) -> _Taken:
        if name not in self._taken:
            raise UnknownListenerError(name)
        return self._taken[name]

    def _path(self, name: str) -> pathlib.Path:
        return self._folder / (name + answers.SUFFIX)

    def _is_finished(self, taken: _Taken) -> bool:
        return len(taken.answers) == len(self.test.sessions[taken.session])

    def _next_session(self) -> int | None:
        if len(self._taken) >= answers.MAX_FILES:
            return None
        now, last_s = time.time(), dict[int, float]()
        for taken in self._taken.values():
            until_s = float("inf") if self._is_finished(taken) else taken.last_s
            last_s[taken.session] = max(until_s, last_s.get(taken.session, 0.0))
        for session in range(len(self.test.sessions)):
            if session not in last_s:
                return session
        session = min(last_s, key=lambda each: last_s[each])
        return session if last_s[session] < now - ABANDONED_S else None


def _mend(path: pathlib.Path) -> None:
    """Takes the beginning of an unfinished line away, and ends the last line."""
    content = path.read_bytes()
    whole = answers.without_torn_end(content)
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    elif not whole.endswith(b"\n"):
        _append(path, b"\n")


def _write_first(path: pathlib.Path, line: bytes) -> None:
    """Makes a file of one line, which appears whole, and outlasts the machine's failing."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _append(path: pathlib.Path, line: bytes) -> None:
    """Appends a line to a file, whole and safe on the disk, or not at all.

    Raises:
      OSError: it cannot be stored; the file is as it was.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        length = os.fstat(file).st_size
        try:
            if os.write(file, line) < len(line):
                raise OSError(f"{path} could not be written to its end")
            os.fsync(file)
        except OSError:
            os.ftruncate(file, length)
            raise
    finally:
        os.close(file)


def open_folder(test: Test, folder: pathlib.Path) -> Collection:
    """The collection of a folder, as `Collection`.

    Raises:
      InputError: as `Collection`, or the folder cannot be used.
    """
    try:
        return Collection(test, folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used ({error.strerror}): choose another folder for --answers."
        ) from error
