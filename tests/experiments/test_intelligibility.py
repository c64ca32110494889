"""The recogniser understands speech, and nothing where nothing is said."""

import pathlib

import numpy as np
import pytest

import data

pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")
pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")

from experiments.intelligibility import error_rate, recognise_digits


def test_speech_is_understood_and_its_reversal_is_not(tmp_path: pathlib.Path) -> None:
    data.build("espeak", data_dir=tmp_path, num_utterances=8)
    corpus = data.load("espeak", tmp_path, "train")
    forward, backward = [], []
    for i in range(len(corpus)):
        example = corpus.recording(i)
        said = example["text"].split()
        forward.append((said, recognise_digits(example["audio"], 8000)))
        backward.append((said, recognise_digits(example["audio"][::-1], 8000, count=len(said))))
    assert error_rate(forward) < 0.2
    assert error_rate(backward) > 0.5


def test_silence_is_heard_as_silence() -> None:
    assert recognise_digits(np.zeros(8000, np.int16), 8000) == []


def test_a_known_count_is_kept() -> None:
    noise = np.random.default_rng(0).normal(0, 3000, 16000).astype(np.int16)
    assert len(recognise_digits(noise, 8000, count=3)) in (0, 3)


def test_error_rate_counts_every_kind_of_error() -> None:
    pairs = [
        (["one", "two"], ["one", "two"]),
        (["one", "two"], ["one", "three"]),
        (["one", "two"], ["one"]),
        (["one", "two"], ["one", "two", "two"]),
    ]
    assert error_rate(pairs) == pytest.approx(3 / 8)
    assert error_rate([(["one"], [])]) == 1
