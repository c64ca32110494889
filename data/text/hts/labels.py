"""HTS full-context labels, aligned in time.

A label file has a line a phone, `start end label`, or a line a state of its model, the label
then ending in the state's number: `[2]` to `[6]` where a phone has five, for HTK numbers the
states that emit from 2. Times are in units of 100 ns. The label is a phone with its context,
`ll^l-c+r=rr` and what follows: which phone c is, between which others, where in the syllable,
word and phrase. Only these four delimiters are required, so that any inventory of phones and
any language's context can be read. Labels of a text without a recording have no times, one a
line, as HTS's text analysis writes them.
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from data.errors import DataError
from data.text.hts.text import lines, short

TICKS_PER_S = 10**7
ALIGNMENT_FRAME_S = 0.005
MAX_TAIL_S = 0.5

FIRST_STATE = 2

_CONTEXT = re.compile(r"[^\s\[\]]+\^[^\s\[\]]+-[^\s\[\]]+\+[^\s\[\]]+=[^\s\[\]]+")
_STATE = re.compile(r"\[([0-9]{1,9})\]\Z")


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """A label file of P phones and S states; S = P in a file of phones.

    Attributes:
      path: Of the file. State s is in line s + 1.
      contexts: The P labels, without the states' numbers.
      ends: Where each state ends, int64 `[S]`, in 100 ns; there the next begins, and the first
        begins at 0.
      phones: The phone that each state belongs to, int64 `[S]`.
      states_per_phone: 1 in a file of phones.
    """

    path: pathlib.Path
    contexts: tuple[str, ...]
    ends: np.ndarray
    phones: np.ndarray
    states_per_phone: int

    @property
    def phone_ends(self) -> np.ndarray:
        """Where each phone ends, int64 `[P]`, in 100 ns."""
        return self.ends[self.states_per_phone - 1 :: self.states_per_phone]

    def check_length(self, name: str, length_s: float) -> None:
        """Refuses labels that cannot be of a recording of that name and length.

        Alignments leave out the samples after the last full analysis window, some 20 ms, and
        may be rounded to their frames.

        Raises:
          DataError: they end over 5 ms after the recording, or over 0.5 s before it.
        """
        end_s = self.ends[-1] / TICKS_PER_S
        if not -MAX_TAIL_S <= end_s - length_s <= ALIGNMENT_FRAME_S + 1 / TICKS_PER_S:
            raise DataError(
                f"line {len(self.ends)} of {self.path} ends at {end_s:g} s, and the audio of "
                f"{name} at {length_s:g} s: give this recording's own labels, and leave it "
                "untrimmed"
            )


def read_labels(path: str | pathlib.Path) -> Labels:
    """Reads a label file, of phones or of states.

    Raises:
      DataError: the file is missing or empty; a line is not `start end label`; a label has no
        phone in context, or no state where others have one; the states of a phone are not
        [2], [3] and so on, with one context and as many as in every phone; a line ends no
        later than it begins, or does not begin where the last one ended, at first 0.
    """
    path = pathlib.Path(path)
    entries = [_fields(line, f"line {i} of {path}") for i, line in enumerate(lines(path), start=1)]
    return _in_order(path, entries)


def utterance(path: str | pathlib.Path, *, sample_rate_hz: int | None = None) -> dict[str, Any]:
    """The labels of a text, as a recording of the `hts` corpus has them, without the sound.

    Args:
      path: Of a label file, of phones or of states, with times or without; without them a
        line is a label alone.
      sample_rate_hz: Rate of the returned times; None leaves them out.

    Returns:
      `labels`, the P contexts; and where the file has times and `sample_rate_hz` is given,
      `phone_starts` and `phone_ends`, int64 `[P]`, in samples.

    Raises:
      DataError: as `read_labels` does; only some lines have times; at this rate a phone lasts
        no sample.
    """
    path = pathlib.Path(path)
    text = lines(path)
    if not text or len(text[0].split()) != 1:
        labels = read_labels(path)
        times = {} if sample_rate_hz is None else phone_samples(labels, sample_rate_hz)
        return {"labels": labels.contexts, **times}
    for i, line in enumerate(text, start=1):
        if len(line.split()) != 1:
            raise DataError(
                f"line {i} of {path} is {short(line)}: it must be a label alone, as line 1 is"
            )
    return {"labels": _in_order(path, [(i, i + 1, x.strip()) for i, x in enumerate(text)]).contexts}


def phone_samples(
    labels: Labels, sample_rate_hz: int, length: int | None = None
) -> dict[str, np.ndarray]:
    """`phone_starts` and `phone_ends`, int64 `[P]`, in samples; the first starts at 0, and each
    of the others where the last one ends.

    Args:
      labels: Of P phones.
      sample_rate_hz: Rate of the samples.
      length: Samples of the recording, at whose end the last phone is made to end.

    Raises:
      DataError: a phone lasts no sample.
    """
    edges = np.rint(np.append(0, labels.phone_ends) / TICKS_PER_S * sample_rate_hz).astype(np.int64)
    if length is not None:
        edges[-1] = length
    empty = np.flatnonzero(np.diff(edges) < 1)
    if len(empty):
        line = int(empty[0]) * labels.states_per_phone + 1
        raise DataError(
            f"line {line} of {labels.path} begins a phone that lasts no sample at "
            f"{sample_rate_hz} Hz: correct its times, or remove it"
        )
    return {"phone_starts": edges[:-1], "phone_ends": edges[1:]}


def _in_order(path: pathlib.Path, entries: Sequence[tuple[int, int, str]]) -> Labels:
    """Labels from entries of start, end and label; refused unless in order."""
    contexts: list[str] = []
    ends: list[int] = []
    phones: list[int] = []
    counts: list[int] = []  # states of each phone
    by_state = False
    for i, (start, end, label) in enumerate(entries, start=1):
        where = f"line {i} of {path}"
        due = ends[-1] if ends else 0
        if start != due:
            raise DataError(
                f"{where} begins at {start}, where {due} is due: let each label begin where the "
                "last one ends, the first at 0"
            )
        if end <= start:
            raise DataError(f"{where} runs from {start} to {end}: times must rise")
        context, state = _split(label, where)
        if i == 1:
            by_state = state is not None
        if (state is not None) != by_state:
            raise DataError(
                f"{where} has the label {short(label)}: give all labels a state, as in [2], or "
                "none of them"
            )
        if state is None or state == FIRST_STATE:
            contexts.append(context)
            counts.append(1)
        elif not contexts or state != FIRST_STATE + counts[-1] or context != contexts[-1]:
            raise DataError(
                f"{where} has state [{state}] of {short(context)}: the states of a phone must be "
                "[2], [3] and so on, one line each, with the same context"
            )
        else:
            counts[-1] += 1
        ends.append(end)
        phones.append(len(contexts) - 1)
    if not ends:
        raise DataError(f"{path} has no labels: restore the file")
    for phone, count in enumerate(counts):
        if count != counts[0]:
            raise DataError(
                f"line {phones.index(phone) + 1} of {path} begins a phone of {count} states, where "
                f"the first has {counts[0]}: restore the lines that are missing"
            )
    return Labels(path, tuple(contexts), np.array(ends), np.array(phones), counts[0])


def _fields(line: str, where: str) -> tuple[int, int, str]:
    """Start, end and label of a line; other lines are refused."""
    fields = line.split()
    if len(fields) != 3 or not all(re.fullmatch("[0-9]{1,15}", field) for field in fields[:2]):
        raise DataError(
            f"{where} is {short(line)}: it must be start end label, the times whole numbers of "
            "100 ns"
        )
    return int(fields[0]), int(fields[1]), fields[2]


def _split(label: str, where: str) -> tuple[str, int | None]:
    """A label's context and state; other labels are refused."""
    state = _STATE.search(label)
    context = label[: state.start()] if state else label
    if not _CONTEXT.fullmatch(context):
        raise DataError(
            f"{where} has the label {short(label)}: it must be a phone in context, "
            "ll^l-c+r=rr and so on, perhaps with a state, as in [2]"
        )
    return context, int(state[1]) if state else None
