"""Scoring a checkpoint: the figure is that of the model's own log-probabilities."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from experiments.common import restore
from experiments.tasks import training
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


def test_held_out_recordings_are_spread_over_the_split(trained_dir, fsdd_dir):
    """A corpus in order has one class alone among its first recordings."""
    trained = restore.load(trained_dir, "last")
    split = trained.run.load(fsdd_dir, trained.run.config.held_out_split)
    held_out = training.held_out_corpus(trained.run, fsdd_dir)
    number = trained.run.config.held_out_recordings
    assert 1 < len(held_out) == number < len(split)
    assert held_out.names == split.some(number).names != split.names[:number]
    lines = (trained_dir / "history.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    *_, recorded = (x["held_out/bits_per_sample"] for x in rows if "held_out/bits_per_sample" in x)
    scored = training.held_out_scores(trained, held_out)["bits_per_sample"]
    assert scored == pytest.approx(recorded, abs=1e-6)
    assert scored == evaluate(trained, held_out)["bits_per_sample"]


def test_refuses_another_corpus(trained_dir: pathlib.Path, fsdd_dir: pathlib.Path, monkeypatch):
    trained = restore.load(trained_dir)
    monkeypatch.setitem(trained.run.audio.classes, "speaker", ("ann", "bob"))
    with pytest.raises(InputError, match="speaker classes high, low.* made for ann, bob"):
        trained.run.load(fsdd_dir, "test")


def test_the_bits_of_each_sample(trained_dir: pathlib.Path, fsdd_dir: pathlib.Path, tmp_path):
    trained = restore.load(trained_dir)
    corpus = trained.run.load(fsdd_dir, "test")
    figures = evaluate(trained, corpus, sample_bits=tmp_path / "bits.npz")
    with np.load(tmp_path / "bits.npz") as bits:
        assert sorted(bits.files) == sorted(corpus.names)
        for name, length in zip(corpus.names, corpus.lengths, strict=True):
            assert bits[name].shape == (length,) and bits[name].dtype == np.float32
        mean = np.concatenate([bits[name] for name in bits.files]).astype(float).mean()
    assert figures["bits_per_sample"] == pytest.approx(mean, abs=1e-6)
    assert figures == evaluate(trained, corpus) | {"wall_s": figures["wall_s"]}
    assert [path.name for path in tmp_path.iterdir()] == ["bits.npz"]


def test_the_bits_of_each_sample_are_of_one_process(trained_dir, fsdd_dir, tmp_path, run):
    ended = run(
        "experiments.evaluate",
        f"--workdir={trained_dir}",
        f"--data_dir={fsdd_dir}",
        "--split=test",
        f"--sample_bits={tmp_path}/x/bits.npz",
        "--multihost",
        "--coordinator=localhost:1",
        "--num_processes=1",
        "--process_id=0",
    )
    assert ended.returncode == 1 and "one process writes" in ended.stderr
    assert not list(tmp_path.iterdir())
