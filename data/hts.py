"""HTS full-context labels, aligned in time, and the questions that make numbers of them.

A label file has a line a phone, `start end label`, or a line a state of its model, the label
then ending in the state's number: `[2]` to `[6]` where a phone has five, for HTK numbers the
states that emit from 2. Times are in units of 100 ns. The label is a phone with its context,
`ll^l-c+r=rr` and what follows: which phone c is, between which others, where in the syllable,
word and phrase. Nothing beyond these four delimiters is taken for granted, so that any
inventory of phones and any language's context will do.

A question file (`.hed`) has a line a question:

    QS "C-Stop" {*-b+*,*-d+*}     1 where one of the patterns matches the label, else 0
    CQS "Seg_Fw" {@(\\d+)_}        the number at `(\\d+)`, or with a point at `([\\d\\.]+)`; or -1

In a pattern `*` stands for any text and `?` for any one character; all else is literal, `$`
and `+` among it. A pattern with a `*` must match the whole label, as in HTK; one without may
match anywhere, as in Merlin, except in a question named `LL-`, whose phone begins the label
(without this, `{l^}` would match `sil^`).

Wu, Watts, King: Merlin: An open source neural network speech synthesis system (SSW 2016).
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from data import audio
from data.errors import DataError
from data.features import frame_middles

NUM_POSITIONS = 9
"""Columns of `frame_answers` after those of the questions."""

TICKS_PER_S = 10**7
ALIGNMENT_FRAME_S = 0.005
LONGEST_TAIL_S = 0.5

FIRST_STATE = 2
NUMBERS = (r"(\d+)", r"([\d\.]+)")

_CONTEXT = re.compile(r"[^\s\[\]]+\^[^\s\[\]]+-[^\s\[\]]+\+[^\s\[\]]+=[^\s\[\]]+")
_STATE = re.compile(r"\[(\d+)\]\Z")
_QUESTION = re.compile(r"""(C?QS)\s+("[^"]+"|'[^']+'|[^\s{"']+)\s*\{([^{}]*)\}\Z""")


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """What a label file says. It has P phones and S states; S = P in a file of phones.

    Attributes:
      path: Of the file. State s stands in its line s + 1.
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


def read_labels(path: str | pathlib.Path) -> Labels:
    """Reads a label file, of phones or of states.

    Raises:
      DataError: the file is missing or empty; a line is not `start end label`; a label has no
        phone in context, or no state where others have one; the states of a phone are not
        [2], [3] and so on, with one context and as many as in every phone; a line ends no
        later than it begins, or does not begin where the last one ended, at first 0.
    """
    path = pathlib.Path(path)
    contexts: list[str] = []
    ends: list[int] = []
    phones: list[int] = []
    counts: list[int] = []  # states of each phone
    by_state = False
    for i, line in enumerate(_lines(path), start=1):
        where = f"line {i} of {path}"
        start, end, label = _fields(line, where)
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
                f"{where} has the label {_short(label)}: give all labels a state, as in [2], or "
                "none of them"
            )
        if state is None or state == FIRST_STATE:
            contexts.append(context)
            counts.append(1)
        elif not contexts or state != FIRST_STATE + counts[-1] or context != contexts[-1]:
            raise DataError(
                f"{where} has state [{state}] of {_short(context)}: the states of a phone must be "
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


@dataclasses.dataclass(frozen=True)
class Questions:
    """Questions to full-context labels, as the module's docstring defines them.

    Attributes:
      path: Of the file they come from.
      names: Of the Q questions in the order of the answers' columns: first all `QS`, then all
        `CQS`, each in the file's order, as Merlin has them.
      patterns: What each looks for.
      num_binary: How many are `QS`.
    """

    path: pathlib.Path
    names: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    num_binary: int

    @classmethod
    def read(cls, path: str | pathlib.Path) -> "Questions":
        """Reads a question file. Empty lines and those that begin with `#` say nothing.

        Raises:
          DataError: the file is missing or asks nothing; a line is no question; a pattern is
            empty; a `CQS` has not one pattern with one number to find.
        """
        path = pathlib.Path(path)
        binary: list[tuple[str, re.Pattern[str]]] = []
        numeric: list[tuple[str, re.Pattern[str]]] = []
        for i, line in enumerate(_lines(path), start=1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            where = f"line {i} of {path}"
            found = _QUESTION.match(line)
            if not found:
                raise DataError(
                    f"{where} is {_short(line)}: it must be QS or CQS, a name, and patterns "
                    "between { and }, with commas between them"
                )
            kind, name = found[1], found[2].strip("\"'")
            patterns = [pattern.strip().strip("\"'") for pattern in found[3].split(",")]
            if not all(patterns):
                raise DataError(
                    f"{where} has an empty pattern in {_short(line)}: write what it looks for, or "
                    "remove it"
                )
            if kind == "QS":
                expressions = (_expression(pattern, name=name) for pattern in patterns)
                binary.append((name, re.compile("|".join(expressions))))
                continue
            if len(patterns) > 1 or sum(patterns[0].count(number) for number in NUMBERS) != 1:
                raise DataError(
                    f"{where} asks for a number by {{{found[3]}}}: give CQS one pattern, with "
                    f"{' or '.join(NUMBERS)} in it once"
                )
            numeric.append((name, re.compile(_expression(patterns[0], numbers=True))))
        if not binary and not numeric:
            raise DataError(f"{path} asks no questions: give lines of QS or CQS")
        names, found_by = zip(*binary, *numeric, strict=True)
        return cls(path, names, found_by, len(binary))

    def answers(self, labels: Labels) -> np.ndarray:
        """The answers for each phone.

        Returns:
          Float32 `[P, Q]`: 1 or 0 for a `QS`; the number for a `CQS`, or -1 where the label
          has none (`x`, in a pause).

        Raises:
          DataError: what a `CQS` found is no number, such as `1.2.3`.
        """
        lines = np.searchsorted(labels.phones, np.arange(len(labels.contexts))) + 1
        rows = [
            self._answer(context, f"line {line} of {labels.path}")
            for context, line in zip(labels.contexts, lines, strict=True)
        ]
        return np.array(rows, np.float32)

    def _answer(self, context: str, where: str) -> list[float]:
        found = [pattern.search(context) for pattern in self.patterns]
        row = [float(match is not None) for match in found[: self.num_binary]]
        for i, match in enumerate(found[self.num_binary :], start=self.num_binary):
            try:
                row.append(float(match[1]) if match else -1.0)
            except ValueError:
                raise DataError(
                    f"{where} answers {self.names[i]} of {self.path} with a number that is none: "
                    "correct the label or the question"
                ) from None
        return row


def frame_answers(
    labels: Labels, questions: Questions, frame_s: float = ALIGNMENT_FRAME_S
) -> np.ndarray:
    """The answers for each frame of the labels, and where in its state and phone it lies.

    A frame belongs to the state at its middle. Times that are multiples of `frame_s`, as
    alignments have them, give Merlin's frames; others are rounded, and no error adds up.

    Args:
      labels: By state or by phone; a phone then counts as its one state.
      questions: Q of them.
      frame_s: Length of a frame in seconds.

    Returns:
      Float32 `[F, Q + 9]`, F = round(the labels' end / frame_s): the answers, then Merlin's
      "full" sub-phone features, where lengths are in frames:
      1. the share of its state that is over with this frame: 1 in the last
      2. the share of its state that is left with this frame: 1 in the first
      3. length of its state
      4. number of its state in the phone, from 1
      5. the same from the phone's end, 1 for the last
      6. length of its phone
      7. the share of its phone that is this state
      8. the share of its phone that is left with this frame: 1 in the first
      9. the share of its phone that is over with this frame: 1 in the last

    Raises:
      DataError: `frame_s` is shorter than the labels' 100 ns; or as of `Questions.answers`.
    """
    frame = round(frame_s * TICKS_PER_S)
    if frame < 1:
        raise DataError(f"frame_s is {frame_s}: it must be at least 1e-7 s, the labels' unit")
    # All times doubled, to keep the middles whole.
    num_frames = -(-(2 * int(labels.ends[-1]) - frame) // (2 * frame))
    twice_middles = (2 * np.arange(num_frames) + 1) * frame
    return _rows(labels, questions, np.searchsorted(2 * labels.ends, twice_middles, side="right"))


def frame_features(
    example: Mapping[str, Any],
    *,
    label_folder: str | pathlib.Path,
    questions: Questions,
    hop_samples: int,
    sample_rate_hz: int,
) -> np.ndarray:
    """`frame_answers` of a recording by its samples: local features for `data.training_windows`.

    The last label holds to the recording's end: alignments leave out what the last analysis
    window does not fill, some 20 ms. Lengths are in frames of `hop_samples`; with a hop of 5 ms
    the columns are those of `frame_answers`. They are not scaled.

    Args:
      example: A recording with `audio` `[N]`, as long as it was when it was aligned (not
        trimmed), and its name in `recording`.
      label_folder: Holds the recording's labels under its name, with `.lab` in place of the
        audio file's extension.
      questions: Q of them.
      hop_samples: Samples a frame.
      sample_rate_hz: Rate of `audio`.

    Returns:
      Float32 `[F, Q + 9]`, F = ceil(N / hop_samples), by the state at the frame's middle sample.

    Raises:
      DataError: the labels end over 5 ms after the audio, to which alignments may be rounded,
        or over 0.5 s before it; or as of `read_labels` and `Questions.answers`.
    """
    name = str(example["recording"])
    stem = next((name[: -len(e)] for e in audio.EXTENSIONS if name.lower().endswith(e)), name)
    labels = read_labels(pathlib.Path(label_folder, f"{stem}.lab"))
    end_s, length_s = labels.ends[-1] / TICKS_PER_S, len(example["audio"]) / sample_rate_hz
    if not -LONGEST_TAIL_S <= end_s - length_s <= ALIGNMENT_FRAME_S + 1 / TICKS_PER_S:
        raise DataError(
            f"line {len(labels.ends)} of {labels.path} ends at {end_s:g} s, and the audio of "
            f"{name} at {length_s:g} s: give this recording's own labels, and leave it untrimmed"
        )
    at_samples = frame_middles(example, hop_samples)
    state = np.searchsorted(
        labels.ends * sample_rate_hz, at_samples.astype(np.int64) * TICKS_PER_S, side="right"
    )
    return _rows(labels, questions, np.minimum(state, len(labels.ends) - 1))


def _rows(labels: Labels, questions: Questions, state: np.ndarray) -> np.ndarray:
    """Answers and positions of frames, by the state of each, `[F]`, which never falls."""
    phone = labels.phones[state]
    in_state, of_state = _places(state)
    in_phone, of_phone = _places(phone)
    number = state - np.searchsorted(labels.phones, phone) + 1
    positions = [
        (in_state + 1) / of_state,
        (of_state - in_state) / of_state,
        of_state,
        number,
        labels.states_per_phone + 1 - number,
        of_phone,
        of_state / of_phone,
        (of_phone - in_phone) / of_phone,
        (in_phone + 1) / of_phone,
    ]
    answers = questions.answers(labels)[phone]
    return np.concatenate([answers, np.stack(positions, axis=1).astype(np.float32)], axis=1)


def _places(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each frame its place in its group, from 0, and the group's length; groups rise."""
    first = np.searchsorted(group, group, side="left")
    return np.arange(len(group)) - first, np.searchsorted(group, group, side="right") - first


def _lines(path: pathlib.Path) -> list[str]:
    """Lines of a text file, without empty ones at its end."""
    if not path.is_file():
        raise DataError(f"{path} is missing: restore it, or check the path")
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}): restore or convert the file") from None
    return text.split("\n") if text else []


def _fields(line: str, where: str) -> tuple[int, int, str]:
    """Start, end and label of a line, else refused."""
    fields = line.split()
    if len(fields) != 3 or not all(re.fullmatch("[0-9]{1,15}", field) for field in fields[:2]):
        raise DataError(
            f"{where} is {_short(line)}: it must be start end label, the times whole numbers of "
            "100 ns"
        )
    return int(fields[0]), int(fields[1]), fields[2]


def _split(label: str, where: str) -> tuple[str, int | None]:
    """A label's context and state, else refused."""
    state = _STATE.search(label)
    context = label[: state.start()] if state else label
    if not _CONTEXT.fullmatch(context):
        raise DataError(
            f"{where} has the label {_short(label)}: it must be a phone in context, "
            "ll^l-c+r=rr and so on, perhaps with a state, as in [2]"
        )
    return context, int(state[1]) if state else None


def _expression(pattern: str, *, name: str = "", numbers: bool = False) -> str:
    """The regular expression that finds a pattern of a question."""
    whole = "*" in pattern
    begins = not pattern.startswith("*") if whole else name.startswith("LL-")
    ends = whole and not pattern.endswith("*")
    kept = [*map(re.escape, NUMBERS)] if numbers else []
    # Split between what has a meaning, which a group keeps at odd places, and what has none.
    parts = re.split("(" + "|".join([*kept, r"\*", r"\?"]) + ")", pattern.strip("*"))
    meaning = {"*": ".*", "?": "."}
    parts[1::2] = [meaning.get(part, part) for part in parts[1::2]]
    parts[::2] = [re.escape(part) for part in parts[::2]]
    return r"\A" * begins + "".join(parts) + r"\Z" * ends


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
