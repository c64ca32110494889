"""Text files of HTS, and showing a line of one."""

import pathlib

from data import text_files


def lines(path: pathlib.Path) -> list[str]:
    """Lines of a text file, without empty ones at its end.

    Raises:
      DataError: as `text_files.text` does.
    """
    text = text_files.text(path).rstrip()
    return text.split("\n") if text else []


def short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
