"""The recogniser recognises speech, and nothing in silence."""

import pathlib

import numpy as np
import pytest
import soxr

import data

pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")
pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")

from data.text.espeak.engine import NATIVE_RATE_HZ
from data.text.espeak.synthesis import Utterance, synthesise
from experiments.metrics import intelligibility
from experiments.metrics.intelligibility import (
    error_rate,
    pronunciations,
    recognise_digits,
    recognise_phones,
    recognise_words,
    transcribe,
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


def test_no_digit_at_16_khz_is_taken_for_the_six_of_a_telephone() -> None:
    """As an "eight" at a beginning was."""
    texts = ["eight two two seven", "eight eight one zero", "six five two nine", "nine six three"]
    for text, speech in zip(
        texts, synthesise(Utterance(text, "en-us", 150) for text in texts), strict=True
    ):
        sound = soxr.resample(speech.samples, speech.sample_rate_hz, 16000)
        assert recognise_digits(sound, 16000).count("six") == text.split().count("six")


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


def test_the_language_model_is_a_distribution() -> None:
    """Backing off included: after each word the probabilities of V words and the end sum to 1."""
    vocabulary = ("a", "b", "c")
    texts = [["a", "b"], ["a", "b", "a"], ["b", "x", "c"]]
    lines = intelligibility._language_model(vocabulary, texts).splitlines()
    unigrams, bigrams = lines.index("\\1-grams:"), lines.index("\\2-grams:")
    single = {
        f[1]: [float(x) for x in (f[0], *f[2:])]
        for f in map(str.split, lines[unigrams + 1 : bigrams])
        if f
    }
    pairs = {
        tuple(f[1:]): 10 ** float(f[0]) for f in map(str.split, lines[bigrams + 1 :]) if len(f) == 3
    }
    assert lines[1:3] == ["ngram 1=5", f"ngram 2={len(pairs)}"]
    for a in ("<s>", *vocabulary):
        back_off = 10 ** single[a][1] if len(single[a]) > 1 else 1
        total = 0.0
        for b in (*vocabulary, "</s>"):
            total += pairs.get((a, b), back_off * 10 ** single[b][0])
        assert total == pytest.approx(1, abs=1e-3)
    # By hand: of three beginnings two with a; x is not in the vocabulary, nor are its pairs.
    assert pairs["<s>", "a"] == pytest.approx(0.8 * 2 / 3 + 0.05, rel=1e-3)
    assert pairs["a", "b"] == pytest.approx(0.8 * 2 / 3 + 0.05, rel=1e-3)
    assert ("c", "</s>") in pairs and ("b", "c") not in pairs
    assert "2-grams" not in intelligibility._language_model(vocabulary, [])


def test_bigrams_of_other_texts_help() -> None:
    texts = ["the judge followed her shadow", "the quiet boat measured her village"]
    words = [words_of(text) for text in texts]
    vocabulary = {word for each in words for word in each} | {"jug", "shallow", "fallow", "pillage"}
    noise = np.random.default_rng(0)
    sounds = [
        (speech.samples + noise.normal(0, 500, len(speech.samples))).clip(-32768, 32767)
        for speech in synthesise(Utterance(text, "en-us", 150) for text in texts)
    ]
    found = [
        [recognise_words(x, NATIVE_RATE_HZ, vocabulary=vocabulary, texts=known) for x in sounds]
        for known in ([], words)
    ]
    uniform, bigram = (error_rate(zip(words, each, strict=True)) for each in found)
    assert bigram < uniform


def test_moonshine(monkeypatch) -> None:
    """Human speech is in the studies: a robot's it takes for other words of the same sound."""
    if not intelligibility.has_moonshine():
        pytest.skip("Moonshine with its model is in the extra quality")
    text = "good morning"
    (speech,) = synthesise([Utterance(text, "en-us", 140)])
    assert transcribe(speech.samples, NATIVE_RATE_HZ) == words_of(text)
    assert transcribe(np.zeros(8000, np.int16), 8000) == []
    assert transcribe(np.ones(3, np.int16), 8000) == []
    assert transcribe(speech.samples, NATIVE_RATE_HZ) == words_of(text)
    monkeypatch.setattr(intelligibility, "_moonshine", lambda: None)
    assert not intelligibility.has_moonshine()
    with pytest.raises(InputError, match=r"moonshine-voice .* not installed: pip install"):
        transcribe(speech.samples, NATIVE_RATE_HZ)
