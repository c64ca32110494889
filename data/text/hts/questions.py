"""Question files, which map HTS full-context labels to numbers.

A question file (`.hed`) has a line a question:

    QS "C-Stop" {*-b+*,*-d+*}     1 where one of the patterns matches the label, else 0
    CQS "Seg_Fw" {@(\\d+)_}        the number at `(\\d+)`, or with a point at `([\\d\\.]+)`; or -1

In a pattern `*` matches any text and `?` any one character; all other characters are literal,
also `$` and `+`. A pattern with a `*` must match the whole label, as in HTK; one without may
match anywhere, as in Merlin, except in a question named `LL-`, whose phone begins the label
(without this, `{l^}` would match `sil^`).
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from data.errors import DataError
from data.text.hts.labels import Labels
from data.text.hts.text import lines, short

NUMBERS = (r"(\d+)", r"([\d\.]+)")
MAX_NUMBER = 1e9
MAX_STARS = 2
"""Within a pattern for a number, since the time to match it grows with the label's length to the
power of their number."""

_QUESTION = re.compile(r"""(C?QS)\s+("[^"]+"|'[^']+'|[^\s{"']+)\s*\{([^{}]*)\}\Z""")


@dataclasses.dataclass(frozen=True)
class Questions:
    """Questions to full-context labels, as the module's docstring defines them.

    Attributes:
      source: The file, or another name for messages.
      lines: The lines of the questions in the order of the file, from which `parse` makes the
        same questions. Two files with equal lines give equal answers.
      names: Of the Q questions in the order of the answers' columns: first all `QS`, then all
        `CQS`, each in the file's order, as Merlin has them.
      patterns: The pattern of each.
      num_binary: How many are `QS`.
    """

    source: str
    lines: tuple[str, ...]
    names: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    num_binary: int

    @classmethod
    def read(cls, path: str | pathlib.Path) -> "Questions":
        """Reads a question file, without empty lines and those that begin with `#`.

        Raises:
          DataError: the file is missing or has no questions; a line is no question; a pattern is
            empty; a `CQS` has not exactly one pattern with one number, or that has more than
            `MAX_STARS` `*` between other text.
        """
        path = pathlib.Path(path)
        return cls.parse(lines(path), str(path))

    @classmethod
    def parse(cls, text: Sequence[str], source: str) -> "Questions":
        """As `read`, from the lines of a question file.

        Args:
          text: The lines.
          source: The file, or another name for messages.

        Raises:
          DataError: as `read`.
        """
        asked: list[str] = []
        binary: list[tuple[str, re.Pattern[str]]] = []
        numeric: list[tuple[str, re.Pattern[str]]] = []
        for i, line in enumerate(text, start=1):
            line = " ".join(line.split())
            if not line or line.startswith("#"):
                continue
            asked.append(line)
            where = f"line {i} of {source}"
            found = _QUESTION.match(line)
            if not found:
                raise DataError(
                    f"{where} is {short(line)}: it must be QS or CQS, a name, and patterns "
                    "between { and }, with commas between them"
                )
            kind, name = found[1], found[2].strip("\"'")
            patterns = [pattern.strip().strip("\"'") for pattern in found[3].split(",")]
            if not all(patterns):
                raise DataError(
                    f"{where} has an empty pattern in {short(line)}: complete the pattern, or "
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
            if patterns[0].strip("*").count("*") > MAX_STARS:
                raise DataError(
                    f"{where} has more than {MAX_STARS} * within {{{found[3]}}}: leave some out"
                )
            numeric.append((name, re.compile(_expression(patterns[0], numbers=True))))
        if not binary and not numeric:
            raise DataError(f"{source} has no questions: give lines of QS or CQS")
        names, found_by = zip(*binary, *numeric, strict=True)
        return cls(source, tuple(asked), names, found_by, len(binary))

    def answers(self, labels: Labels) -> np.ndarray:
        """The answers for each phone.

        Returns:
          Float32 `[P, Q]`: 1 or 0 for a `QS`; the number for a `CQS`, or -1 where the label
          has none (`x`, in a pause).

        Raises:
          DataError: the text that a `CQS` found is no number, such as `1.2.3`, or one above
            `MAX_NUMBER`.
        """
        first_lines = np.searchsorted(labels.phones, np.arange(len(labels.contexts))) + 1
        answers = [
            self.answer(context, f"line {line} of {labels.path}")
            for context, line in zip(labels.contexts, first_lines, strict=True)
        ]
        return np.array(answers, np.float32)

    def answer(self, context: str, where: str) -> list[float]:
        """The answers for one label, `[Q]`.

        Args:
          context: The label, without a state.
          where: Its place, for messages.

        Raises:
          DataError: as `answers`.
        """
        found = [pattern.search(context) for pattern in self.patterns]
        values = [float(match is not None) for match in found[: self.num_binary]]
        for i, match in enumerate(found[self.num_binary :], start=self.num_binary):
            try:
                values.append(float(match[1]) if match else -1.0)
                if values[-1] > MAX_NUMBER:
                    raise ValueError
            except ValueError:
                raise DataError(
                    f"{where} answers {self.names[i]} of {self.source} with a text that is no "
                    "number: correct the label or the question"
                ) from None
        return values


def _expression(pattern: str, *, name: str = "", numbers: bool = False) -> str:
    """The regular expression that finds a pattern of a question."""
    whole = "*" in pattern
    begins = not pattern.startswith("*") if whole else name.startswith("LL-")
    ends = whole and not pattern.endswith("*")
    kept = [*map(re.escape, NUMBERS)] if numbers else []
    # The group keeps the special parts, at odd places; the others are literal.
    parts = re.split("(" + "|".join([*kept, r"\*", r"\?"]) + ")", pattern.strip("*"))
    meaning = {"*": ".*", "?": "."}
    parts[1::2] = [meaning.get(part, part) for part in parts[1::2]]
    parts[::2] = [re.escape(part) for part in parts[::2]]
    first, *middle = "".join(parts).split(".*")
    if numbers:
        inner = "".join(f".*{part}" for part in middle)
    else:
        # The first place of each part serves if any does: not to try others keeps the time linear.
        last = [f".*{middle.pop()}"] if ends and middle else []
        inner = "".join([*(f"(?>.*?{part})" for part in middle), *last])
    return r"\A" * begins + first + inner + r"\Z" * ends
