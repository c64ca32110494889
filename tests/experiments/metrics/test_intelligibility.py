"""The recogniser recognises speech, and nothing in silence."""

import pathlib

import numpy as np
import pytest

import data

pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")
pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")

from data.text.espeak.engine import NATIVE_RATE_HZ
from data.text.espeak.synthesis import Utterance, synthesise
from experiments.metrics.intelligibility import (
    error_rate,
    pronunciations,
    recognise_digits,
    recognise_phones,
    recognise_words,
    words_of,
)
from wavenet_jax import InputError


def test_speech_is_understood_and_its_reversal_is_not(tmp_path: pathlib.Path) -> None:
    data.build("espeak", data_dir=tmp_path, num_utterances=8)
    corpus = data.load("espeak", tmp_path, "train")
    forward, backward = [], []
    for i in range(len(corpus)):
        example = corpus.recording(i)
        labels = example["text"].split()
        forward.append((labels, recognise_digits(example["audio"], 8000)))
        backward.append((labels, recognise_digits(example["audio"][::-1], 8000, count=len(labels))))
    assert error_rate(forward) < 0.2
    assert error_rate(backward) > 0.5


def test_sentences_are_understood_by_word_and_by_phone() -> None:
    texts = [
        "Seven yellow flowers stand behind the window.",
        "My brother will arrive before the morning.",
        "She carried water over the mountain.",
    ]
    words = [words_of(text) for text in texts]
    phones = [[p for word in each for p in pronunciations(word)[0].split()] for each in words]
    vocabulary = {word for each in words for word in each} | {"joined", "another", "boat"}
    rates = []
    for turned in (1, -1):
        sounds = [
            np.ascontiguousarray(speech.samples[::turned])
            for speech in synthesise(Utterance(text, "en-us", 140) for text in texts)
        ]
        found = [recognise_words(x, NATIVE_RATE_HZ, vocabulary=vocabulary) for x in sounds]
        assert all(set(each) <= vocabulary for each in found)
        found_phones = [recognise_phones(x, NATIVE_RATE_HZ) for x in sounds]
        rates.append(
            (
                error_rate(zip(words, found, strict=True)),
                error_rate(zip(phones, found_phones, strict=True)),
            )
        )
    forward, backward = rates
    assert forward[0] < 0.15 and forward[1] < 0.6
    assert backward[0] > 0.8 and backward[1] > 0.8


def test_words_are_looked_up() -> None:
    assert words_of("Don't, said SHE - twice!") == ["don't", "said", "she", "twice"]
    assert pronunciations("boat") == ["B OW T"]
    assert len(pronunciations("the")) > 1
    with pytest.raises(InputError, match=r"dictionary has no 'wavenet': choose recordings"):
        pronunciations("wavenet")


def test_silence_has_no_words() -> None:
    silence = np.zeros(8000, np.int16)
    assert recognise_digits(silence, 8000) == []
    assert recognise_phones(silence, 8000) == []
    assert recognise_words(silence, 8000, vocabulary={"boat", "yellow"}) == []


def test_a_given_count_is_kept() -> None:
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
