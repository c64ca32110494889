"""Text files of HTS, and showing a line of one."""

import pathlib

from data.errors import DataError


def lines(path: pathlib.Path) -> list[str]:
    """Lines of a text file, without empty ones at its end."""
    if not path.is_file():
        raise DataError(f"{path} is missing: restore it, or check the path")
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}): restore or convert the file") from None
    return text.split("\n") if text else []


def short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
