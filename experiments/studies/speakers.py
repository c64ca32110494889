"""Do samples of a voice sound like that voice? Judged by a classifier that heard only recordings.

    python -m experiments.studies.speakers --workdir=runs/fsdd --data_dir=corpora \\
        --split=validation --samples_per_class=20 --seconds=1 --out=runs/fsdd/voices

For a checkpoint that one label of a recording conditions, such as its speaker. The classifier,
linear discriminants of the mean and the deviation of 20 mel cepstra and of their changes, learns
the label's classes from the corpus's train split. It is asked about the recordings of another
split, which shows what it can tell at all, and about samples that the model makes of each class.
Beside the samples lie `confusion.png` and `embedding.png`, the two principal components of the
vectors that stand for the classes in the model.
"""

import os
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import librosa
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
from data.audio import reading
from experiments import sample
from experiments.common import cli, plots, restore
from experiments.studies import speakers_plots
from wavenet_jax import InputError

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("seed")
flags.declare_key_flag("split")
flags.declare_key_flag("step")
flags.declare_key_flag("out")
flags.declare_key_flag("seconds")
flags.declare_key_flag("temperature")

_SAMPLES_PER_CLASS = flags.DEFINE_integer(
    "samples_per_class", 20, "How many samples to make of each class."
)

NUM_CEPSTRA = 20
WINDOW_S = 0.032
HOP_S = 0.008


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
    """Makes samples of each class and has them told apart.

    Args:
      trained: of `restore.load`.
      data_dir: folder of corpora, with the one that the model was trained on.
      split: of the recordings that the classifier is tested on; it learns from train.
      out: folder for samples and pictures.
      samples_per_class: how many.
      seconds: length of each.
      seed: with the number of a sample, all that its waveform depends on.
      temperature: of the model's distribution.

    Returns:
      `label`; `classes`, their names; `accuracy` and `confusion` (rows: what it is, columns:
      what it is taken for) under `recordings` and `samples`; `chance`, the accuracy of a
      guess; `step`, `split`, `temperature`, `seed`.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
    """
    experiment = trained.experiment
    if len(experiment.global_labels) != 1:
        raise InputError(
            f"The model has {len(experiment.global_labels)} labels of a recording: train one with "
            "a single one, such as --config=experiments/configs/fsdd.py."
        )
    if split == "train":
        raise InputError("--split is train, which the classifier learns from: name another.")
    if samples_per_class < 1:
        raise InputError(f"--samples_per_class is {samples_per_class}: give at least 1.")
    (label,) = experiment.global_labels
    classes = experiment.classes[label]
    if len(classes) < 2:
        raise InputError(f"The label {label} has a single class, {classes[0]}: there is no choice.")
    known, asked = (experiment.load(data_dir, name) for name in ("train", split))
    folder = cli.require_writable(out)
    classifier = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis())
    classifier.fit(_statistics_of(known), _classes_of(known, label))
    paths = sample.sample(
        trained,
        out=folder,
        num_samples=samples_per_class * len(classes),
        seconds=seconds,
        seed=seed,
        temperature=temperature,
        labels=classes,
    )
    rate = experiment.sample_rate_hz
    sounds = (soundfile.read(path, dtype="int16")[0] for path in paths)
    of_samples = statistics(sounds, rate)
    figures: dict[str, Any] = {"label": label, "classes": classes, "chance": 1 / len(classes)}
    for name, features, truth in (
        ("recordings", _statistics_of(asked), _classes_of(asked, label)),
        ("samples", of_samples, np.arange(len(paths)) % len(classes)),
    ):
        confusion = confusion_matrix(
            truth, classifier.predict(features), labels=np.arange(len(classes))
        )
        figures[name] = {
            "accuracy": float(np.trace(confusion) / confusion.sum()),
            "confusion": confusion.tolist(),
        }
    plots.save(
        speakers_plots.confusions(
            {name: np.array(figures[name]["confusion"]) for name in ("recordings", "samples")},
            classes,
        ),
        folder / "confusion.png",
    )
    table = np.asarray(trained.params["params"]["global_embedding"]["table"], np.float32)
    plots.save(
        speakers_plots.embedding(dict(zip(classes, PCA(2).fit_transform(table), strict=True))),
        folder / "embedding.png",
    )
    return figures | {
        "step": trained.step,
        "split": split,
        "temperature": temperature,
        "seed": seed,
    }


def statistics(sounds: Iterable[np.ndarray], sample_rate_hz: int) -> np.ndarray:
    """What the classifier hears: of each sound, int16 `[N]`, the mean and the standard
    deviation of its cepstra and of their changes from frame to frame, `[sounds, 80]`.

    The first coefficient, the loudness, counts in its changes alone.
    """
    window = max(4, round(WINDOW_S * sample_rate_hz))
    rows = []
    for samples in sounds:
        padded = np.pad(
            samples / np.float32(reading.FULL_SCALE), (0, max(0, window - len(samples)))
        )
        cepstra = librosa.feature.mfcc(
            y=padded,
            sr=sample_rate_hz,
            n_mfcc=NUM_CEPSTRA,
            n_mels=2 * NUM_CEPSTRA,
            n_fft=window,
            hop_length=max(1, round(HOP_S * sample_rate_hz)),
        )
        cepstra[0] -= cepstra[0].mean()
        changes = np.diff(cepstra, axis=1, append=cepstra[:, -1:])
        rows.append(
            np.concatenate([f(x, 1) for x in (cepstra, changes) for f in (np.mean, np.std)])
        )
    return np.stack(rows)


def _statistics_of(corpus: data.Corpus) -> np.ndarray:
    recordings = tqdm(
        range(len(corpus)), desc=f"listening to {corpus.split}", unit=" recordings", file=sys.stderr
    )
    return statistics((corpus.recording(i)["audio"] for i in recordings), corpus.sample_rate_hz)


def _classes_of(corpus: data.Corpus, label: str) -> np.ndarray:
    return np.array([corpus.label(i, label) for i in range(len(corpus))])


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir, split=FLAGS.split, out=FLAGS.out)
    trained = restore.load(FLAGS.workdir, restore.STEP.value)
    figures = speaker_control(
        trained,
        FLAGS.data_dir,
        split=FLAGS.split,
        out=FLAGS.out,
        samples_per_class=_SAMPLES_PER_CLASS.value,
        seconds=1.0 if FLAGS.seconds is None else FLAGS.seconds,
        seed=cli.SEED.value or 0,
        temperature=FLAGS.temperature,
    )
    for name in ("recordings", "samples"):
        print(
            f"{name}: {figures[name]['accuracy']:.1%} told apart by {figures['label']} "
            f"(chance {figures['chance']:.1%})"
        )
    print(f"pictures in {pathlib.Path(FLAGS.out)}")
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main)
