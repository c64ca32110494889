"""A baseline of recognizers: a small network of scikit-learn on mel cepstra.

13 mel cepstra and their first and second differences, in eleven frames, classified by a multilayer
perceptron; decoded and scored as the recognizers are.
"""

import os
from typing import Any

import librosa
import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import data
from data.audio.cepstra import mel_cepstra
from experiments.common import phones
from experiments.common.run import Run
from experiments.configs.schema import ExperimentConfig
from experiments.metrics import phone_errors

MIN_LOG = -20.0
"""The least log posterior, also that of classes without training frames."""

WINDOW_S = 0.025
NUM_CEPSTRA = 13
NEIGHBOURS = 5
HIDDEN = (256, 256)


def baseline(
    config: ExperimentConfig, data_dir: str | os.PathLike[str], seed: int
) -> dict[str, Any]:
    """Trains a network on the train split and scores it on the test split.

    Args:
      config: of a recognizer, with the corpus, the phones and the frames.
      data_dir: folder of corpora.
      seed: of the network.

    Returns:
      The figures of `phone_errors.figures`, with weights chosen on the validation split.
    """
    run = Run.create(config, data.load(config.dataset, data_dir, "train"))
    train, validation, test = (
        run.load(data_dir, split) for split in ("train", "validation", "test")
    )
    assert run.recognizer is not None
    compute = phones.targets(run.phones, run.recognizer).compute
    inputs = [features(run, train.recording(i)["audio"]) for i in range(len(train))]
    classes = np.concatenate([compute(train.recording(i)) for i in range(len(train))])
    is_trained = classes >= 0
    network = make_pipeline(
        StandardScaler(),
        MLPClassifier(HIDDEN, early_stopping=True, alpha=1e-3, random_state=seed),
    )
    network.fit(np.concatenate(inputs)[is_trained], classes[is_trained])

    def posteriors(corpus: data.Corpus) -> phone_errors.PosteriorSet:
        found = []
        for i in range(len(corpus)):
            log_probs = network.predict_log_proba(features(run, corpus.recording(i)["audio"]))
            padded = np.full((len(log_probs), len(run.phones.names)), MIN_LOG)
            padded[:, network.classes_] = np.maximum(log_probs, MIN_LOG)
            found.append(padded)
        return phone_errors.PosteriorSet(corpus, found)

    return phone_errors.figures(run, posteriors(test), tuned_on=posteriors(validation))


def features(run: Run, samples: np.ndarray) -> np.ndarray:
    """Mel cepstra and their first and second differences, of each frame and `NEIGHBOURS` on either
    side: float32 `[F, 39 (2 NEIGHBOURS + 1)]`. Their means over the recording are subtracted."""
    assert run.recognizer is not None
    window_samples = round(WINDOW_S * run.audio.sample_rate_hz)
    cepstra = mel_cepstra(
        samples / np.float32(32768),
        run.audio.sample_rate_hz,
        num_cepstra=NUM_CEPSTRA,
        num_mels=2 * NUM_CEPSTRA,
        n_fft=2 ** int(np.ceil(np.log2(2 * window_samples))),
        window_samples=window_samples,
        hop_samples=run.recognizer.hop_samples,
        centred_on_middles=True,
    )
    changes = [
        librosa.feature.delta(cepstra, order=order, axis=0, mode="nearest") for order in (1, 2)
    ]
    frames = np.concatenate([cepstra, *changes], axis=1)
    frames = np.pad(frames - frames.mean(axis=0), ((NEIGHBOURS, NEIGHBOURS), (0, 0)), mode="edge")
    sides = [frames[i : i + len(cepstra)] for i in range(2 * NEIGHBOURS + 1)]
    return np.concatenate(sides, axis=1).astype(np.float32)
