"""Previews of a run: what its model sounds like while it is trained, on one page.

    workdir/previews/STEP.wav      what the model generated after so many steps
    workdir/previews/STEP.png      its waveform and spectrogram
    workdir/previews/recorded.wav  the held-out recording whose conditions it was given, if any,
    workdir/previews/recorded.png  and its spectrogram
    workdir/previews/index.html    a page without scripts: the recording, and the newest first

Previews have a clock of their own, so that the first is there soon, however long a checkpoint
takes. One that cannot be written is left out, and the training goes on.
"""

import io
import os
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np
import soundfile
from tqdm import tqdm

from experiments.common import files, pages, plots

PREVIEWS, RECORDED = "previews", "recorded"


class Previews:
    """The previews of one run, of which those of earlier processes are part."""

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        title: str,
        every_s: float,
        num_steps: int,
        resume_step: int = 0,
        active: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts the clock of a run that starts, or goes on, after `resume_step`.

        Args:
          workdir: directory of the run.
          title: of the page.
          every_s: seconds between previews; 0 for none.
          num_steps: the step at which training ends, after which there is one more.
          resume_step: the step of the checkpoint that the run goes on from, 0 for a new run.
            Previews of later steps are dropped.
          active: whether there are previews at all. Of several processes, one makes them.
          clock: seconds of any origin.

        Raises:
          OSError: what is dropped cannot be deleted.
        """
        self._folder = pathlib.Path(workdir) / PREVIEWS
        self._title = title
        self._every_s = every_s if active else 0.0
        self._num_steps, self._clock = num_steps, clock
        self._has_recorded = self._has_failed = False
        self._last_s = clock()
        if active and self._folder.is_dir():
            self._drop_after(resume_step)

    def is_due(self, step: int) -> bool:
        """Whether the time between two previews has passed, or the training ends with a step."""
        if not self._every_s:
            return False
        return step == self._num_steps or self._clock() - self._last_s >= self._every_s

    def write(
        self,
        step: int,
        generated: np.ndarray,
        recorded: np.ndarray | None,
        sample_rate_hz: int,
    ) -> None:
        """Writes a preview and the page; on a full disk, says so once.

        Args:
          step: how many training steps were made.
          generated: int16 `[N]`.
          recorded: the held-out recording whose conditions that has, int16 `[N]`; None for none.
          sample_rate_hz: of both.
        """
        try:
            self._folder.mkdir(exist_ok=True)
            if recorded is not None and not self._has_recorded:
                self._write_sound(RECORDED, "recorded", recorded, sample_rate_hz)
                self._has_recorded = True
            self._write_sound(str(step), f"step {step:,}", generated, sample_rate_hz)
            self._write_page()
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                tqdm.write(
                    f"The preview of step {step} is not written ({error}): the training goes on, "
                    f"and tries again every {self._every_s:g} seconds.",
                    file=sys.stderr,
                )
        self._last_s = self._clock()

    def _write_sound(self, name: str, title: str, samples: np.ndarray, sample_rate_hz: int) -> None:
        """The spectrogram, and then the sound, by which a preview is there."""
        picture = plots.spectrograms([(title, samples)], sample_rate_hz)
        plots.save(picture, self._folder / f"{name}.png", dpi=100)
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, sample_rate_hz, subtype="PCM_16", format="WAV")
        files.write_whole(self._folder / f"{name}.wav", buffer.getvalue())

    def _steps(self) -> list[int]:
        """The steps that have a preview, the newest first."""
        stems = [path.stem for path in self._folder.glob("*.wav")]
        return sorted((int(stem) for stem in stems if stem.isdecimal()), reverse=True)

    def _drop_after(self, step: int) -> None:
        for late in self._steps():
            if late > step:
                for suffix in (".wav", ".png"):
                    (self._folder / f"{late}{suffix}").unlink(missing_ok=True)
        if not step:
            for suffix in (".wav", ".png"):
                (self._folder / f"{RECORDED}{suffix}").unlink(missing_ok=True)
        self._write_page()

    def _write_page(self) -> None:
        sounds = []
        if (self._folder / f"{RECORDED}.wav").exists():
            sounds.append(pages.sound("recorded", RECORDED, ".wav"))
        sounds += [pages.sound(f"step {step:,}", str(step), ".wav") for step in self._steps()]
        pages.write(self._folder / pages.INDEX, self._title, "".join(sounds))
