"""Speakers: whether a classifier of recordings recognises the speaker of generated samples.

    python -m experiments.studies.speakers --workdir=runs/fsdd --data_dir=corpora \\
        --split=validation --samples_per_class=20 --seconds=1 --out=runs/fsdd/voices

For a checkpoint that one label of a recording conditions, such as its speaker. The classifier,
linear discriminants of the mean and the deviation of 20 mel cepstra and of their differences,
learns the label's classes from the corpus's train split. It is tested on the recordings of
another split, which bounds what it can reach, and on samples of the model for each class. Writes
the samples, `confusion.png`, and `embedding.png`, the two principal components of the model's
embedding of the classes.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from absl import flags
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import data
from experiments.common import cli, plots, restore
from experiments.common.sampling import Sampling
from experiments.metrics.timbre import cepstral_statistics
from experiments.studies import speakers_plots
from experiments.tasks import generation
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.STEP, cli.OUT, cli.JSON)
cli.takes(cli.SECONDS, cli.SEED, cli.TEMPERATURE)
_SAMPLES_PER_CLASS = flags.DEFINE_integer(
    "samples_per_class", 20, "How many samples to generate for each class.", 1
)


def speaker_control(
    trained: restore.TrainedModel,
    data_dir: str | os.PathLike[str],
    *,
    split: str,
    out: str | os.PathLike[str],
    samples_per_class: int = 20,
    seconds: float = 1.0,
    seed: int = 0,
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Generates samples of each class and classifies them.

    Args:
      trained: of `restore.load`.
      data_dir: folder of corpora, with the one that the model was trained on.
      split: of the recordings that the classifier is tested on; it learns from train.
      out: folder for samples and figures.
      samples_per_class: how many samples.
      seconds: length of each.
      seed: determines each waveform, with the index of its sample.
      temperature: of the model's distribution.

    Returns:
      `label`; `classes`, their names; `accuracy` and `confusion` (indexed by the true and the
      predicted class) under `recordings` and `samples`; `chance`, the accuracy of a guess;
      `step`, `split`, `temperature`, `seed`.

    Raises:
      InputError, data.DataError: invalid input.
    """
    run = trained.run
    if len(run.audio.global_labels) != 1:
        raise InputError(
            f"The model has {len(run.audio.global_labels)} labels of a recording: train one with "
            "a single one, such as --config=experiments/configs/fsdd.py."
        )
    if split == "train":
        raise InputError("--split is train, which the classifier learns from: name another.")
    if samples_per_class < 1:
        raise InputError(f"--samples_per_class is {samples_per_class}: give at least 1.")
    (label,) = run.audio.global_labels
    classes = run.audio.classes[label]
    if len(classes) < 2:
        raise InputError(
            f"The label {label} has the single class {classes[0]}: use a corpus with several."
        )
    train, test = (run.load(data_dir, name) for name in ("train", split))
    folder = cli.require_writable(out)
    classifier = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis())
    classifier.fit(_statistics_of(train), _classes_of(train, label))
    paths = generation.sample(
        trained,
        out=folder,
        num_samples=samples_per_class * len(classes),
        seconds=seconds,
        seed=seed,
        sampling=Sampling(temperature),
        labels=classes,
    )
    sounds = (soundfile.read(path, dtype="int16")[0] for path in paths)
    of_samples = cepstral_statistics(sounds, run.audio.sample_rate_hz)
    figures: dict[str, Any] = {"label": label, "classes": list(classes), "chance": 1 / len(classes)}
    for name, features, truth in (
        ("recordings", _statistics_of(test), _classes_of(test, label)),
        ("samples", of_samples, np.arange(len(paths)) % len(classes)),
    ):
        confusion = confusion_matrix(
            truth, classifier.predict(features), labels=np.arange(len(classes))
        )
        figures[name] = {
            "accuracy": float(np.trace(confusion) / confusion.sum()),
            "confusion": confusion.tolist(),
        }
    confusions = {name: np.array(figures[name]["confusion"]) for name in ("recordings", "samples")}
    plots.save(speakers_plots.confusions(confusions, classes), folder / "confusion.png")
    table = np.asarray(trained.params["params"]["global_embedding"]["table"], np.float32)
    places = dict(zip(classes, PCA(2).fit_transform(table), strict=True))
    plots.save(speakers_plots.embedding(places), folder / "embedding.png")
    return figures | {
        "step": trained.step,
        "split": split,
        "temperature": temperature,
        "seed": seed,
    }


def _statistics_of(corpus: data.Corpus) -> np.ndarray:
    recordings = tqdm(
        range(len(corpus)), desc=f"reading {corpus.split}", unit=" recordings", file=sys.stderr
    )
    return cepstral_statistics(
        (corpus.recording(i)["audio"] for i in recordings), corpus.sample_rate_hz
    )


def _classes_of(corpus: data.Corpus, label: str) -> np.ndarray:
    return np.array([corpus.label(i, label) for i in range(len(corpus))])


def main(argv: Sequence[str]) -> None:
    del argv
    figures = speaker_control(
        restore.load(cli.WORKDIR.value, cli.STEP.value),
        cli.DATA_DIR.value,
        split=cli.SPLIT.value,
        out=cli.OUT.value,
        samples_per_class=_SAMPLES_PER_CLASS.value,
        seconds=1.0 if cli.SECONDS.value is None else cli.SECONDS.value,
        seed=cli.SEED.value or 0,
        temperature=cli.TEMPERATURE.value,
    )
    for name in ("recordings", "samples"):
        print(
            f"{name}: {figures[name]['accuracy']:.1%} classified correctly by {figures['label']} "
            f"(chance {figures['chance']:.1%})"
        )
    print(f"figures in {cli.OUT.value}")
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT))
