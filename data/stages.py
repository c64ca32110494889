"""How long each stage of reading a window takes."""

import contextlib
import threading
import time
from collections.abc import Iterator

import numpy as np

STAGES = ("reading", "decoding", "local_features", "augmentation", "windows")
"""Records from the disk; features from records; local features and classes of frames; changes of
the sound and its speed; and the rest, which cuts and filters windows."""


class _Clock(threading.local):
    """The seconds of a thread in each stage. A stage within another is not counted as that."""

    def __init__(self) -> None:
        self.seconds, self.stage = np.zeros(len(STAGES)), len(STAGES) - 1
        self.since_s = time.perf_counter()

    def change(self, stage: int) -> int:
        """Goes on in another stage; gives the one before."""
        now_s = time.perf_counter()
        self.seconds[self.stage] += now_s - self.since_s
        before, self.stage, self.since_s = self.stage, stage, now_s
        return before


_clock = _Clock()


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Within the context, this thread is in the stage `name`."""
    before = _clock.change(STAGES.index(name))
    try:
        yield
    finally:
        _clock.change(before)


@contextlib.contextmanager
def timed() -> Iterator[np.ndarray]:
    """Gives an array `[len(STAGES)]`, which after the context has the seconds of each stage."""
    seconds = np.zeros(len(STAGES), np.float32)
    with stage("windows"):
        before = _clock.seconds.copy()
        yield seconds
    seconds[:] = _clock.seconds - before
