"""What makes a recognizer good: its losses, its beginning, its data; and what it must beat.

    python -m experiments.studies.recognition --data_dir=corpora --workdir=runs/recognition_study

Trains variants of a config (experiments/configs/timit.py unless told otherwise) for
`--num_steps` each, one after the other, and counts the phones that each mistakes in the test
split, with the weights of its decoder chosen on the validation split. With
`--config.pretrained=DIR` all begin with the model of that run, but those whose names say how
they begin. The *baselines* are what a newcomer would build without raw audio: mel cepstra and
their changes, eleven frames of them, in a network of scikit-learn, decoded as the others are;
they differ in chance alone, and show what it is worth. `minutes.png` has the rate against the
minutes of speech that were trained on. A variant that is trained already is only scored again;
stopped, the same command goes on.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import librosa
import ml_collections
import numpy as np
from absl import flags
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import data
from experiments import evaluate
from experiments.common import cli, phones, plots
from experiments.common.run import Experiment
from experiments.configs import timit
from experiments.metrics import phone_errors
from experiments.studies import ablation

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("config")
flags.declare_key_flag("num_steps")
flags.declare_key_flag("variants")

AUGMENTED = "frame loss and augmentation"
CURVE = (AUGMENTED, "half the speech", "a quarter of the speech")
MIN_LOG = -20.0
WINDOW_S = 0.025
NUM_CEPSTRA = 13
NEIGHBOURS = 5
HIDDEN = (256, 256)
NUM_BASELINES = 3


def _frame_loss(config: ml_collections.ConfigDict) -> None:
    config.training.generation_weight = 0.0


def _both_losses(config: ml_collections.ConfigDict) -> None:
    config.training.generation_weight = config.training.get("generation_weight") or 1.0


def _not_augmented(config: ml_collections.ConfigDict) -> None:
    config.augmentation = None


def _from_nothing(config: ml_collections.ConfigDict) -> None:
    config.pretrained = None


def _generator(config: ml_collections.ConfigDict) -> None:
    config.recognizer = None


def _changes(workdir: str, num_recordings: int) -> dict[str, ablation.Change]:
    """By name, what differs from the config.

    After the four of losses and augmentation, all have the loss of frames alone, and
    augmentation, and differ in one thing more: how much they hear or how they begin. `from a
    generator` begins with the stack of `generator`, which began from nothing and learned to
    generate the same recordings.
    """

    def from_generator(config: ml_collections.ConfigDict) -> None:
        config.pretrained = str(pathlib.Path(workdir) / ablation.folder_of("generator"))

    def share(share: float) -> ablation.Change:
        def change(config: ml_collections.ConfigDict) -> None:
            config.train_recordings = max(1, round(share * num_recordings))

        return change

    return {
        "frame loss": _all(_frame_loss, _not_augmented),
        "both losses": _all(_both_losses, _not_augmented),
        AUGMENTED: _frame_loss,
        "both losses and augmentation": _both_losses,
        "half the speech": _all(_frame_loss, share(0.5)),
        "a quarter of the speech": _all(_frame_loss, share(0.25)),
        "from nothing": _all(_frame_loss, _from_nothing),
        "generator": _all(_generator, _not_augmented, _from_nothing),
        "from a generator": _all(_frame_loss, from_generator),
    }


def _all(*changes: ablation.Change) -> ablation.Change:
    def change(config: ml_collections.ConfigDict) -> None:
        for each in changes:
            each(config)

    return change


def study(
    config: ml_collections.ConfigDict,
    names: Sequence[str],
    *,
    num_steps: int,
    workdir: str,
    data_dir: str,
) -> list[dict[str, Any]]:
    """Trains and counts.

    Returns:
      For each baseline, and each variant but the generator, its `name`, the `minutes` of
      speech trained on, and what `phone_errors.figures` gives.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
    """
    train = data.load(config.dataset, data_dir, "train")
    changes = _changes(workdir, len(train))
    if config.get("pretrained") is None:  # as the config itself does
        del changes["from nothing"]

    def minutes(number: int | None) -> float:
        heard = train.some(number) if number else train
        return float(heard.lengths.sum() / train.sample_rate_hz / 60)

    rows: list[dict[str, Any]] = []
    for name, trained in ablation.train_variants(
        config,
        changes,
        names or list(changes),
        num_steps=num_steps,
        workdir=workdir,
        data_dir=data_dir,
    ):
        experiment = trained.experiment
        if experiment.model.recognizer is None:
            continue
        test, validation = (experiment.load(data_dir, split) for split in ("test", "validation"))
        rows.append(
            evaluate.evaluate_recognition(trained, test, tuned_on=validation)
            | {"name": name, "minutes": minutes(experiment.config.get("train_recordings"))}
        )
    baselines = [
        baseline(config, data_dir, seed) | {"name": f"baseline {seed}", "minutes": minutes(None)}
        for seed in range(NUM_BASELINES)
    ]
    folder = cli.require_writable(workdir)
    points = [
        (row["minutes"], _best(row)["phone_error_rate"]) for row in rows if row["name"] in CURVE
    ]
    if points:
        figure = plots.loss_curve(
            {"phone error rate": points},
            {"the best baseline": min(_best(row)["phone_error_rate"] for row in baselines)},
            x_label="minutes of speech trained on",
            y_label="phone error rate, test",
        )
        plots.save(figure, folder / "minutes.png", dpi=100)
    return [*baselines, *rows]


def _best(row: dict[str, Any]) -> dict[str, Any]:
    """What was found with a model of sequences, which comes first."""
    found: dict[str, Any] = next(iter(row["decoders"].values()))
    return found


def baseline(config: ml_collections.ConfigDict, data_dir: str, seed: int) -> dict[str, Any]:
    """What a network makes of mel cepstra, decoded and scored as `evaluate` does."""
    experiment = Experiment.create(config, data.load(config.dataset, data_dir, "train"))
    train, validation, test = (
        experiment.load(data_dir, split) for split in ("train", "validation", "test")
    )
    compute = phones.targets(experiment.phones, experiment.config["recognizer"], 0).compute
    features = [cepstra(experiment, train.recording(i)["audio"]) for i in range(len(train))]
    classes = np.concatenate([compute(train.recording(i)) for i in range(len(train))])
    known = classes >= 0
    network = make_pipeline(
        StandardScaler(),
        MLPClassifier(HIDDEN, early_stopping=True, alpha=1e-3, random_state=seed),
    )
    network.fit(np.concatenate(features)[known], classes[known])

    def heard(corpus: data.Corpus) -> phone_errors.PosteriorSet:
        found = []
        for i in range(len(corpus)):
            log_probs = network.predict_log_proba(cepstra(experiment, corpus.recording(i)["audio"]))
            every = np.full((len(log_probs), len(experiment.phones.names)), MIN_LOG)
            every[:, network.classes_] = np.maximum(log_probs, MIN_LOG)
            found.append(every)
        return phone_errors.PosteriorSet(corpus, found)

    return phone_errors.figures(experiment, heard(test), tuned_on=heard(validation))


def cepstra(experiment: Experiment, samples: np.ndarray) -> np.ndarray:
    """Mel cepstra and their first and second changes, less their means over the recording, of
    each frame and `NEIGHBOURS` on either side: float32 `[F, 39 (2 NEIGHBOURS + 1)]`."""
    assert experiment.model.recognizer is not None
    hop, rate = experiment.model.recognizer.hop_samples, experiment.sample_rate_hz
    num_frames = experiment.model.recognizer.num_frames(len(samples))
    window = round(WINDOW_S * rate)
    n_fft = 2 ** int(np.ceil(np.log2(2 * window)))
    # The middle of a frame is the middle of its window.
    sound = np.pad(samples / np.float32(32768), ((n_fft - hop) // 2, n_fft + hop))
    plain = librosa.feature.mfcc(
        y=sound,
        sr=rate,
        n_mfcc=NUM_CEPSTRA,
        n_mels=2 * NUM_CEPSTRA,
        n_fft=n_fft,
        win_length=window,
        hop_length=hop,
        center=False,
    )[:, :num_frames]
    changes = [librosa.feature.delta(plain, order=order, mode="nearest") for order in (1, 2)]
    rows = np.concatenate([plain, *changes]).T
    rows = np.pad(rows - rows.mean(axis=0), ((NEIGHBOURS, NEIGHBOURS), (0, 0)), mode="edge")
    sides = [rows[i : i + num_frames] for i in range(2 * NEIGHBOURS + 1)]
    return np.concatenate(sides, axis=1).astype(np.float32)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir)
    (num_steps,) = cli.positive_integers("num_steps", [FLAGS.num_steps])
    rows = study(
        cli.CONFIG.value or timit.get_config(),
        FLAGS.variants or [],
        num_steps=num_steps,
        workdir=FLAGS.workdir,
        data_dir=FLAGS.data_dir,
    )
    print("| | speech | phones mistaken | 95% | S, D, I | greedy |\n|---|---|---|---|---|---|")
    for row in rows:
        best, greedy = _best(row), row["decoders"]["greedy"]
        low, high = best["interval"]
        print(
            f"| {row['name']} | {row['minutes']:.1f} min | {best['phone_error_rate']:.1%} | "
            f"{low:.1%} to {high:.1%} | {best['substitutions']}, {best['deletions']}, "
            f"{best['insertions']} | {greedy['phone_error_rate']:.1%} |"
        )
    cli.write_json(rows)


if __name__ == "__main__":
    cli.run(main)
