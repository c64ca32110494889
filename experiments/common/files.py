"""Files that appear whole or not at all."""

import pathlib


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Writes or replaces a file; a reader finds it as it was, or complete.

    Raises:
      OSError: it cannot be written; it is as it was.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
