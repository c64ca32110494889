"""Files beside recordings: lines of text, and labels in time."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from data.audio import reading
from data.errors import DataError
from data.text_files import text

# Ends differ from the recording's by a few samples, or by a frame of an automatic alignment.
MAX_BEYOND_S = 0.025


@dataclasses.dataclass(frozen=True)
class TimedLabel:
    """A label in time.

    Attributes:
      line: Of its file, from 1.
      start_s, end_s: From the recording's start.
      name: The label.
    """

    line: int
    start_s: float
    end_s: float
    name: str


def lines(path: pathlib.Path) -> list[tuple[int, str]]:
    """The lines of a file that are not blank, stripped, each with its number from 1.

    Raises:
      DataError: as `text_files.text` does.
    """
    numbered = enumerate(text(path).splitlines(), start=1)
    return [(i, line.strip()) for i, line in numbered if line.strip()]


def check(path: pathlib.Path, spans: Sequence[TimedLabel], length_s: float, *, tile: bool) -> None:
    """Refuses labels that cannot be of a recording.

    Args:
      path: Of the labels, for messages.
      spans: In their order in the file.
      length_s: Of the recording. Labels may end up to `MAX_BEYOND_S` after it.
      tile: Whether each must start where the last one ends, the first at the recording's
        start, with a positive length; otherwise starts must only not fall.

    Raises:
      DataError: the file has no labels, or one is out of place.
    """
    if not spans:
        raise DataError(f"{path} has no labels: restore it from the original corpus")
    before = TimedLabel(0, 0.0, 0.0, "")
    for span in spans:
        where = f"line {span.line} of {path}: {span.name!r}"
        if span.end_s < span.start_s or (tile and span.end_s == span.start_s):
            raise DataError(
                f"{where} ends at {span.end_s:.4f} s and starts at {span.start_s:.4f} s: correct it"
            )
        if tile and span.start_s != before.end_s:
            kind = "a gap" if span.start_s > before.end_s else "an overlap"
            raise DataError(
                f"{where} starts at {span.start_s:.4f} s, {kind} after the end at "
                f"{before.end_s:.4f} s of the label before it: correct it"
            )
        if span.start_s < before.start_s:
            raise DataError(
                f"{where} starts at {span.start_s:.4f} s, before the label of the line before it "
                f"({before.start_s:.4f} s): correct it"
            )
        if span.end_s > length_s + MAX_BEYOND_S:
            raise DataError(
                f"{where} ends at {span.end_s:.4f} s, past the recording's end at "
                f"{length_s:.4f} s: correct it, or restore the recording"
            )
        before = span


def length_s(path: pathlib.Path) -> float:
    """Length of a recording, from its header.

    Raises:
      DataError: as `reading.read_header` does.
    """
    header = reading.read_header(path)
    return header.length / header.sample_rate_hz


def features(
    kind: str, spans: Sequence[TimedLabel]
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The names as the feature `{kind}s`, and the times `{kind}_starts` and `{kind}_ends`."""
    return (
        {f"{kind}s": [span.name for span in spans]},
        {
            f"{kind}_starts": [span.start_s for span in spans],
            f"{kind}_ends": [span.end_s for span in spans],
        },
    )
