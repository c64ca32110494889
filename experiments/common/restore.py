"""Restoring a trained model from a work directory, or from a model's folder."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import data
import wavenet_jax
from experiments.common.run import Run
from wavenet_jax import InputError, autoencoder, storage
from wavenet_jax.loading import Model
from wavenet_jax.model_folder import is_model_folder


class TrainedModel(NamedTuple):
    """A run and its parameters.

    Attributes:
      run: read from the checkpoint.
      params: the EMA parameters.
      step: number of updates.
    """

    run: Run
    params: Any
    step: int

    @property
    def generator(self) -> Model:
        """The student, the autoencoder or the WaveNet, also that of a recognizer, as
        `wavenet_jax.load` gives it."""
        return Model(
            config=self.run.student or self.run.autoencoder or self.run.wavenet,
            params=self.params,
            audio=self.run.audio,
            step=self.step,
            description=self.run.to_dict(),
        )

    def recordings(
        self, corpus: data.Corpus, indices: Sequence[int] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Whole recordings, by default all, with the conditions that the model takes, those of an
        encoder included."""
        for recording in self.run.recordings(corpus, indices):
            if self.run.autoencoder is not None:  # `samples` are filtered already
                made = autoencoder.encode(self.run.autoencoder, self.params, recording["samples"])
                recording["local"] = made
            yield recording


def load(workdir: str | os.PathLike[str], step: int | str | None = None) -> TrainedModel:
    """Reads a checkpoint of a work directory, or the model of a folder (`experiments.export`).

    Args:
      workdir: of a training run, or the folder of a model.
      step: "last", "best" (by `config.best_score`), or a number; by default the best where
        there is a score, and else the last.

    Raises:
      InputError: there is none, or it cannot be read.
    """
    model = wavenet_jax.load(workdir, step)
    try:
        run = Run.from_description(model.description, model.config)
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"The description of the model in {os.fspath(workdir)} cannot be used "
            f"({storage.first_line(error)}): copy it again, or use wavenet_jax.load."
        ) from error
    return TrainedModel(run, model.params, model.step)


def require_run(workdir: str | os.PathLike[str]) -> None:
    """Refuses to train in the folder of a model.

    Raises:
      InputError: it is one.
    """
    if is_model_folder(workdir):
        raise InputError(
            f"--workdir is {workdir}, the folder of a model, which training does not change: name "
            f"the folder of a run; one begins with this model by --config.pretrained={workdir}."
        )
