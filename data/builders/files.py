"""Listing the files of a corpus."""

import os
import pathlib
from typing import NoReturn

from data.audio.reading import Notices


def files_below(source: pathlib.Path, notices: Notices) -> list[pathlib.Path]:
    """All files below a folder, in the order of their paths, through links to folders.

    A folder that several paths lead to is read once: by its own path where that is below
    `source`, otherwise by the first link in order. `notices` names the links passed over, and
    those that lead nowhere.

    Raises:
      OSError: a folder cannot be read.
    """
    found: list[pathlib.Path] = []
    seen: set[str] = set()

    def walk(top: pathlib.Path) -> list[pathlib.Path]:
        """Adds the files below a folder and returns the links to folders among them."""
        links = []
        for path, folders, names in os.walk(top, onerror=_fail):
            real = os.path.realpath(path)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            below = pathlib.Path(path)
            links += [below / name for name in folders if (below / name).is_symlink()]
            for name in names:
                if (below / name).is_file():
                    found.append(below / name)
                else:
                    notices.add("passed over, no file or a link that leads nowhere", below / name)
        return sorted(links)

    pending = walk(source)
    while pending:
        link = pending.pop(0)
        if os.path.realpath(link) in seen:
            notices.add("passed over, a link to a folder that is read by another path", link)
        else:
            pending += walk(link)
    return sorted(found)


def _fail(error: OSError) -> NoReturn:
    raise error
