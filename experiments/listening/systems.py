"""Systems of a listening test that are models: what they make of the recordings of a split.

A model is a run or a model folder. What it makes is *copied*, from the conditions of a recording,
or *spoken*, from its text alone, with predicted durations and pitch.
"""

import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import soundfile

from experiments.common import prosody, restore
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.listening import description
from experiments.tasks import generation
from wavenet_jax import InputError, model_folder

COPIED, SPOKEN = "copied", "spoken"
DEFAULT_TEXTS = 24
"""Of a split: three minutes of listening, if a text takes seven seconds."""


class Model(NamedTuple):
    """A system that is a model.

    Attributes:
      folder: of the run or of the model.
      how: `COPIED` or `SPOKEN`.
    """

    folder: str
    how: str


def is_model(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is that of a run or of a model, and no folder of sounds."""
    is_run = (pathlib.Path(folder) / "checkpoints").is_dir()
    return is_run or model_folder.is_model_folder(folder)


class Models:
    """Models and the recordings of a split, which they have in common.

    Attributes:
      texts: names of the recordings, as `description.NAME` allows.
      sample_rate_hz: of the recordings.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        *,
        data_dir: str | os.PathLike[str],
        split: str,
        num_texts: int | None = None,
    ) -> None:
        """Reads the models.

        Args:
          models: by the name of the system.
          data_dir: folder of prepared corpora.
          split: of the models' corpus.
          num_texts: how many recordings, the first; by default `DEFAULT_TEXTS`, or as many as
            there are.

        Raises:
          InputError, data.DataError: bad input.
        """
        self._models = models
        self._trained = {name: restore.load(model.folder) for name, model in models.items()}
        runs = [each.run for each in self._trained.values()]
        corpora = {run.config.dataset for run in runs}
        if len(corpora) > 1:
            raise InputError(
                f"The models were trained on the corpora {' and '.join(sorted(corpora))}, and no "
                "recording is of both: compare folders of wav files."
            )
        loaded = [run.load(data_dir, split) for run in runs]  # each refuses what does not fit it
        self._corpus = loaded[0]
        self._prosody = {
            name: prosody.load(model.folder, self._trained[name].run)
            for name, model in models.items()
            if model.how == SPOKEN
        }
        number = min(DEFAULT_TEXTS, len(self._corpus)) if num_texts is None else num_texts
        if number > len(self._corpus):
            raise InputError(
                f"--num_texts is {number}, and the split {split} of {self._corpus.name} has "
                f"{len(self._corpus)} recordings: give no more."
            )
        self.texts = text_names(self._corpus.names[:number])
        self.sample_rate_hz = runs[0].audio.sample_rate_hz

    def write(
        self, folder: pathlib.Path, *, seed: int = 0, sampling: Sampling = AS_IT_IS
    ) -> tuple[pathlib.Path, dict[str, pathlib.Path]]:
        """Writes the recordings, and what the models make, as wav files of equal names.

        Args:
          folder: for the folders.
          seed: of the random numbers; a sound depends on it and on the recording's number.
          sampling: how they are drawn.

        Returns:
          The folder of the recordings, and those of the systems.

        Raises:
          InputError, data.DataError: a model cannot be sampled so.
        """
        recordings = folder / description.RECORDING
        recordings.mkdir()
        for i, path in enumerate(self._paths(recordings)):
            soundfile.write(path, self._corpus.recording(i)["audio"], self.sample_rate_hz)
        made = {}
        for name, model in self._models.items():
            made[name] = folder / f"system_{name}"
            made[name].mkdir()
            generate = self._copy if model.how == COPIED else self._speak
            generate(name, self._paths(made[name]), seed, sampling)
        return recordings, made

    def _paths(self, folder: pathlib.Path) -> list[pathlib.Path]:
        return [folder / f"{text}.wav" for text in self.texts]

    def _copy(
        self, name: str, paths: Sequence[pathlib.Path], seed: int, sampling: Sampling
    ) -> None:
        made = generation.sample(
            self._trained[name],
            out=paths[0].parent,
            num_samples=len(paths),
            seed=seed,
            sampling=sampling,
            spoken=prosody.for_matching(
                sampling, self._models[name].folder, self._trained[name].run
            ),
            corpus=self._corpus,
        )
        for sample, path in zip(made, paths, strict=True):
            sample.rename(path)

    def _speak(
        self, name: str, paths: Sequence[pathlib.Path], seed: int, sampling: Sampling
    ) -> None:
        run, spoken = self._trained[name].run, self._prosody[name]
        conditions = [run.global_condition_of(self._corpus, i) for i in range(len(paths))]
        predicted = spoken.frames_of(self._corpus, len(paths))
        voices = [prosody.voice_of(run, condition) for condition in conditions]
        generation.write_generated(
            self._trained[name],
            paths,
            np.array([length for _, length in predicted]),
            generation.batched([frames for frames, _ in predicted], conditions),
            seed=seed,
            sampling=sampling,
            spectra=spoken.spectra_of([frames for frames, _ in predicted], voices),
        )


def text_names(names: Sequence[str]) -> list[str]:
    """Names of texts after those of recordings, each once, as `description.NAME` allows."""
    cleaned = [re.sub(r"[^A-Za-z0-9_.-]", "_", pathlib.Path(name).stem)[:90] for name in names]
    if len(set(cleaned)) == len(cleaned) and all(map(description.NAME.fullmatch, cleaned)):
        return cleaned
    return [f"{i:04}_{name}" for i, name in enumerate(cleaned)]
