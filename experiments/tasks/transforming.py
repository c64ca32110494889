"""Recordings changed in the embeddings of an autoencoder: mixed, stretched, at another label.

A recording becomes its embeddings, these are changed, and the decoder generates from them as from
any local condition.
"""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from data.audio import reading
from experiments.common import cli, plots, restore
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.tasks import embedding_plots, generation
from wavenet_jax import InputError

STRETCHES = (0.1, 10.0)
"""The least and the largest factor of the length."""


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A recording and its embeddings.

    Attributes:
      name: of the recording, for files and pictures.
      num_samples: of it.
      embeddings: float32 `[F, D]`.
    """

    name: str
    num_samples: int
    embeddings: np.ndarray


def encode_file(trained: restore.TrainedModel, path: str | os.PathLike[str]) -> Encoded:
    """The embeddings of a file's recording, at the model's rate.

    Raises:
      InputError: the model has no encoder, or the recording is shorter than a frame.
      data.DataError: the file is no recording.
    """
    model, rate = trained.run.require_encoder(), trained.run.audio.sample_rate_hz
    samples, _ = reading.read(pathlib.Path(path), sample_rate_hz=rate, mono=True)
    hop = model.embeddings.hop_samples
    if len(samples) < hop:
        raise InputError(
            f"{path} has {len(samples)} samples at the model's {rate} Hz, and a frame of the "
            f"encoder has {hop}: give a longer recording."
        )
    return Encoded(pathlib.Path(path).stem, len(samples), trained.generator.encode(samples))


def mixed(one: Encoded, other: Encoded, weight: float) -> Encoded:
    """The weighted mean of two recordings' embeddings, as long as the shorter one.

    Args:
      one, other: the recordings.
      weight: of the other, from 0 to 1.
    """
    number = min(len(one.embeddings), len(other.embeddings))
    return Encoded(
        f"{one.name}_with_{weight:g}_{other.name}",
        min(one.num_samples, other.num_samples),
        (1 - weight) * one.embeddings[:number] + np.float32(weight) * other.embeddings[:number],
    )


def stretched(encoded: Encoded, factor: float, hop_samples: int) -> Encoded:
    """A recording of `factor` times the length: its embeddings, resampled linearly.

    Frame j of the result lies where it lay in the recording: its middle is moved by the factor.
    """
    num_samples = max(1, round(encoded.num_samples * factor))
    middles = (np.arange(-(-num_samples // hop_samples)) + 0.5) / factor - 0.5
    before = np.arange(len(encoded.embeddings))
    channels = [np.interp(middles, before, channel) for channel in encoded.embeddings.T]
    return Encoded(
        f"{encoded.name}_x{factor:g}", num_samples, np.stack(channels, axis=1).astype(np.float32)
    )


def transform(
    trained: restore.TrainedModel,
    recordings: Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    mix_with: str | os.PathLike[str] | None = None,
    weights: Sequence[float] = (0.5,),
    stretches: Sequence[float] = (1.0,),
    labels: Sequence[str] | None = None,
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
) -> list[pathlib.Path]:
    """Generates recordings again, changed, each combination of the changes into a file.

    Beside the sounds it draws their embeddings, and those of the recordings, to `embeddings.png`.

    Args:
      trained: of `restore.load`, an autoencoder.
      recordings: files.
      out: folder for the files.
      mix_with: file of a recording that each is mixed with.
      weights: of that recording in the mix, from 0 to 1.
      stretches: factors of the length.
      labels: names of the classes to generate with, such as the pitch; for several labels joined
        by "+". Of a model with labels alone.
      seed: of the random numbers.
      sampling: how they are drawn.

    Returns:
      The files.

    Raises:
      InputError, data.DataError: invalid input.
    """
    model, audio = trained.run.require_encoder(), trained.run.audio
    if not recordings:
        raise InputError("No recording is named: give one or more files.")
    if any(not 0 <= weight <= 1 for weight in weights) or not len(weights):
        raise InputError(f"--weights is {_listed(weights)}: give numbers from 0 to 1.")
    least, largest = STRETCHES
    if any(not least <= factor <= largest for factor in stretches) or not len(stretches):
        raise InputError(
            f"--stretches is {_listed(stretches)}: give numbers from {least:g} to {largest:g}."
        )
    conditions = dict(zip(labels or [""], trained.run.conditions_named(labels), strict=True))
    sources = [encode_file(trained, path) for path in recordings]
    heard = list(sources)
    if mix_with is not None:
        other = encode_file(trained, mix_with)
        heard.append(other)
        pairs = itertools.product(sources, weights)
        sources = [mixed(source, other, weight) for source, weight in pairs]
    hop = model.embeddings.hop_samples
    if tuple(stretches) != (1.0,):
        pairs = itertools.product(sources, stretches)
        sources = [stretched(source, factor, hop) for source, factor in pairs]
    made = list(itertools.product(sources, conditions))
    names = [f"{source.name}_{label}".rstrip("_") for source, label in made]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"Two sounds would be written to {twice}.wav: give recordings of different names, and "
            "each weight, stretch and label once."
        )
    folder = cli.require_writable(out)
    paths = [folder / f"{name}.wav" for name in names]
    generation.write_generated(
        trained,
        paths,
        np.array([source.num_samples for source, _ in made]),
        generation.batched(
            [source.embeddings for source, _ in made],
            [conditions[label] for _, label in made],
        ),
        seed=seed,
        sampling=sampling,
    )
    changed = [] if sources == heard else sources
    series = {each.name: each.embeddings for each in [*heard, *changed]}
    figure = embedding_plots.embeddings(series, hop / audio.sample_rate_hz)
    plots.save(figure, folder / "embeddings.png")
    return paths


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers) or "empty"
