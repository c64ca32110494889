"""Scoring a checkpoint: the figure is that of the model's own log-probabilities."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from experiments.common import restore
from experiments.tasks.evaluation import evaluate
from wavenet_jax import InputError, WaveNet, mulaw


def test_scores_every_sample_once(trained_dir: pathlib.Path, fsdd_dir: pathlib.Path):
    trained = restore.load(trained_dir)
    corpus = trained.run.load(fsdd_dir, "test")
    figures = evaluate(trained, corpus)
    bits, codes = 0.0, []
    distribution = trained.run.model.distribution
    for recording in trained.run.recordings(corpus):
        codes.append(np.asarray(mulaw.encode(recording["samples"])))
        logits = WaveNet(trained.run.model).apply(
            trained.params, codes[-1][None], global_condition=recording["global"][None]
        )
        log_probs = distribution.log_prob_bits(logits, jnp.asarray(codes[-1][None]))
        bits -= float(np.asarray(log_probs, np.float64).sum())
    every = np.concatenate(codes)
    assert figures["num_samples"] == len(every) == corpus.lengths.sum()
    assert figures["num_recordings"] == len(corpus)
    assert figures["bits_per_sample"] == pytest.approx(bits / len(every), abs=1e-5)
    entropy = scipy.stats.entropy(np.bincount(every), base=2)
    assert figures["unigram_bits_per_sample"] == pytest.approx(entropy)
    assert figures["step"] == 30


def test_refuses_another_corpus(trained_dir: pathlib.Path, fsdd_dir: pathlib.Path, monkeypatch):
    trained = restore.load(trained_dir)
    monkeypatch.setitem(trained.run.audio.classes, "speaker", ("ann", "bob"))
    with pytest.raises(InputError, match="speaker classes high, low.* made for ann, bob"):
        trained.run.load(fsdd_dir, "test")
