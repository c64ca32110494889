"""A work directory in a bucket: what programs append to and draw lies on the disk, and is copied.

Checkpoints go to the bucket themselves (orbax). A bucket has no appending, so that `history.jsonl`,
the logs of TensorBoard and the previews are written to a folder of this process and copied after
each checkpoint and preview, and at the end.
"""

import contextlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

from wavenet_jax import InputError, folders, storage

_COPIED_BACK = ("history.jsonl", "previews/*")
"""What a run that goes on needs of the runs before."""


@contextlib.contextmanager
def on_disk(
    workdir: str | os.PathLike[str], *, active: bool
) -> Iterator[tuple[pathlib.Path, Callable[[], None]]]:
    """The folder of a work directory's files that are not checkpoints, and what copies them.

    Args:
      workdir: on a disk, where it is the folder itself and nothing is copied; or in a bucket.
      active: whether to copy at all. Of several processes, one does.

    Yields:
      The folder, and a function to call when its files have changed.
    """
    if not folders.is_bucket(workdir):
        yield pathlib.Path(workdir), lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="workdir.") as folder:
        mirror = _Mirror(pathlib.Path(folder), workdir)
        if active:
            mirror.download()
        try:
            yield pathlib.Path(folder), mirror.upload if active else lambda: None
        finally:
            if active:
                mirror.upload()


def require_writable(workdir: str | os.PathLike[str]) -> None:
    """Tries to write to a bucket before any work is done for it.

    Raises:
      InputError: nothing can be written there.
    """
    probe = None
    try:
        probe = folders.absolute(workdir) / ".probe"
        probe.write_text("")
        probe.unlink()
    except Exception as error:  # libraries of storage raise many kinds
        raise InputError(
            f"Nothing can be written to {os.fspath(workdir)} ({storage.first_line(error)}): check "
            "the address and the rights, and install the extra for it ('.[gcs]' for gs://)."
        ) from error


class _Mirror:
    """A local folder whose files are copied to a bucket when they have changed."""

    def __init__(self, folder: pathlib.Path, workdir: str | os.PathLike[str]) -> None:
        self._folder, self._workdir = folder, folders.absolute(workdir)
        self._copied: dict[str, tuple[int, int]] = {}

    def download(self) -> None:
        for pattern in _COPIED_BACK:
            for source in self._workdir.glob(pattern):
                target = self._folder / source.relative_to(self._workdir)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
        self._copied = self._versions()

    def upload(self) -> None:
        """Copies what has changed; where that fails, says so, and the next call tries again."""
        versions = self._versions()
        try:
            for name in versions.keys() | self._copied.keys():
                target = self._workdir / name
                if name not in versions:
                    target.unlink(missing_ok=True)
                    del self._copied[name]
                elif versions[name] != self._copied.get(name):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes((self._folder / name).read_bytes())
                    self._copied[name] = versions[name]
        except Exception as error:  # libraries of storage raise many kinds
            print(
                f"History and previews could not be copied to {self._workdir} "
                f"({storage.first_line(error)}): the training goes on.",
                file=sys.stderr,
            )

    def _versions(self) -> dict[str, tuple[int, int]]:
        """Size and time of each file, by its place in the folder."""
        return {
            path.relative_to(self._folder).as_posix(): (stat.st_size, stat.st_mtime_ns)
            for path in self._folder.rglob("*")
            if path.is_file()
            for stat in [path.stat()]
        }
