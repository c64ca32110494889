"""Text and JSON of a corpus, read within `limits.MAX_TEXT_BYTES`."""

import json
import pathlib
from typing import Any

from data.errors import DataError, first_line
from data.limits import MAX_TEXT_BYTES


def text(path: pathlib.Path) -> str:
    """The text of a file, without a mark of its byte order.

    Raises:
      DataError: it is missing, no file but a device or a folder, too large, or not UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing: restore it, or check the path")
    if (size := path.stat().st_size) > MAX_TEXT_BYTES:
        raise DataError(
            f"{path} has {size} bytes, and a text may have {MAX_TEXT_BYTES}: restore the original "
            "file"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}): restore the original file") from None


def json_object(path: pathlib.Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
      DataError: as `text`, or it holds none.
    """
    read = text(path)
    try:
        content = json.loads(read)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({first_line(error)}): restore the file") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object: restore the file")
    return content
