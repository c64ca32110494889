"""Synthesised speech: deterministic, and its labels agree with its sound."""

import itertools
import pathlib
import re
import sys
import time
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

import data
from data.text.espeak import grammars, synthesis, texts


def test_phones_tile_the_utterance(spoken: data.Corpus) -> None:
    for i in range(len(spoken)):
        example = spoken.recording(i)
        starts, ends = example["phone_starts"], example["phone_ends"]
        assert starts[0] == 0
        assert ends[-1] == len(example["audio"])
        np.testing.assert_array_equal(starts[1:], ends[:-1])
        assert (ends > starts).all()
        assert len(example["phones"]) == len(example["phone_stress"]) == len(starts)


def test_words_are_the_text_in_order(spoken: data.Corpus) -> None:
    for i in range(len(spoken)):
        example = spoken.recording(i)
        assert " ".join(example["words"]) == example["text"]
        assert (example["word_starts"] < example["word_ends"]).all()
        assert (example["word_ends"][:-1] <= example["word_starts"][1:]).all()
        assert set(example["word_starts"]) <= set(example["phone_starts"])
        assert set(example["word_ends"]) <= set(example["phone_ends"])


def test_pauses_are_quiet_and_vowels_are_not(spoken: data.Corpus) -> None:
    names = spoken.class_names["phones"]
    for i in range(len(spoken)):
        example = spoken.recording(i)
        spans = zip(example["phones"], example["phone_starts"], example["phone_ends"], strict=True)
        loudness: dict[str, list[float]] = {"_": [], "i:": []}
        for phone, start, end in spans:
            if names[phone] in loudness:
                middle = example["audio"][start + (end - start) // 2 : end].astype(float)
                loudness[names[phone]].append(np.sqrt(np.mean(middle**2)))
        if loudness["_"] and loudness["i:"]:
            assert max(loudness["_"]) < 0.2 * min(loudness["i:"])


def test_pitch_follows_the_voice(spoken: data.Corpus) -> None:
    """Vowels are voiced, /s/ and pauses are not, and the second voice is the higher."""
    names = np.array(spoken.class_names["phones"])
    medians: dict[int, list[float]] = {0: [], 1: []}
    vowels, unvoiced = [], []
    for i in range(len(spoken)):
        example = spoken.recording(i)
        assert len(example["f0_hz"]) == -(-len(example["audio"]) // 40)
        middles = (example["phone_starts"] + example["phone_ends"]) // 2
        at = example["f0_hz"][middles // 40]
        phones = names[example["phones"]]
        vowels.extend(at[np.isin(phones, ["i:", "E", "V", "aI"])] > 0)
        unvoiced.extend(at[np.isin(phones, ["s", "_"])] > 0)
        medians[example["speaker"]].append(float(np.median(example["f0_hz"][example["f0_hz"] > 0])))
    assert np.mean(vowels) > 0.95
    assert np.mean(unvoiced) < 0.1
    assert 60 < np.median(medians[0]) < np.median(medians[1]) < 300


def test_the_same_options_give_the_same_corpus(spoken: data.Corpus, tmp_path: pathlib.Path) -> None:
    data.build("espeak", data_dir=tmp_path, num_utterances=12, voices=["en-us", "en-us+f2"])
    again = data.load("espeak", tmp_path, "train")
    for i in range(len(spoken)):
        first, second = spoken.recording(i), again.recording(i)
        assert first.keys() == second.keys()
        for key, value in first.items():
            np.testing.assert_array_equal(value, second[key], err_msg=key)


def test_a_longer_test_split_leaves_the_others(tmp_path: pathlib.Path) -> None:
    corpora = []
    for name, options in (("short", {}), ("long", {"num_test": 5})):
        data.build("espeak", data_dir=tmp_path / name, num_utterances=8, **options)
        splits = ("train", "validation", "test")
        corpora.append([data.load("espeak", tmp_path / name, split) for split in splits])
    texts = [
        [[part.recording(i)["text"] for i in range(len(part))] for part in each] for each in corpora
    ]
    assert texts[0][:2] == texts[1][:2]
    assert texts[1][2][:1] == texts[0][2] and len(texts[1][2]) == 5
    every = [text for part in texts[1] for text in part]
    assert len(set(every)) == len(every) == 8 - 1 + 5


def test_held_out_texts_are_not_in_train(spoken: data.Corpus) -> None:
    data_dir = spoken.__reduce__()[1][1]
    texts_of = {}
    for split in ("train", "validation", "test"):
        corpus = data.load("espeak", data_dir, split)
        texts_of[split] = {corpus.recording(i)["text"] for i in range(len(corpus))}
    assert len(texts_of["train"]) == 10
    assert not texts_of["train"] & (texts_of["validation"] | texts_of["test"])
    assert not texts_of["validation"] & texts_of["test"]


def test_sentences(tmp_path: pathlib.Path) -> None:
    data.build(
        "espeak", data_dir=tmp_path, num_utterances=8, domain="sentences", sample_rate_hz=16000
    )
    corpus = data.load("espeak", tmp_path, "train")
    assert corpus.sample_rate_hz == 16000
    for i in range(len(corpus)):
        example = corpus.recording(i)
        assert " ".join(example["words"]) == example["text"]
        assert example["phone_ends"][-1] == len(example["audio"])


@pytest.mark.parametrize("grammar", [grammars.SENTENCES, grammars.EVERYDAY])
def test_patterns_and_parts_of_a_grammar_match(grammar: grammars.Grammar) -> None:
    named = set(re.findall(r"\{(.*?)\}", " ".join(grammar.patterns)))
    assert named == set(grammar.parts)


def test_everyday_texts_have_the_phones_of_any_text() -> None:
    """So that a voice that learned them can speak any text."""

    def phones(read: Iterable[str]) -> set[str]:
        spoken = synthesis.synthesise(synthesis.Utterance(text, "en-us", 160) for text in read)
        return {phone.name for speech in spoken for phone in speech.phones}

    everyday = phones(itertools.islice(texts.texts("everyday", 0), 1350))
    other = (
        "at a time, it is said, the national orchestra of Vienna bought its own theatre",
        "whether she actually measured the azure flower, or a photograph of it, is unsure",
        "Loch Ness; a judge's rhythm; twelfths, sixths, asked, jumped, thoughtfully",
        "uh-oh, the whole of Europe's youth annoyed Hugh's lawyer outside the museum",
    )
    assert phones(other) <= everyday
    assert phones(itertools.islice(texts.texts("sentences", 0), 200)) <= everyday


def test_the_texts_of_published_models_stay() -> None:
    first = {domain: next(texts.texts(domain, 0)) for domain in texts.DOMAINS}
    assert first == {
        "digits": "six five two three zero zero",
        "sentences": "for years another heavy village watched the boat under the polished bridge",
        "everyday": "at a time you bought an hour in the street",
    }


@pytest.mark.parametrize("domain", sorted(texts.DOMAINS))
def test_texts_repeat_themselves_only_under_the_same_seed(domain: str) -> None:
    def some(seed: int) -> list[str]:
        return [text for text, _ in zip(texts.texts(domain, seed), range(200), strict=False)]

    assert some(1) == some(1)
    assert some(1) != some(2)
    assert len(set(some(1))) == 200


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_utterances": 0}, "num_utterances is 0: it must be between 3"),
        ({"num_utterances": 40, "num_test": 1}, "num_test is 1: it must be between 2, as many"),
        ({"num_utterances": -5}, "num_utterances is -5"),
        ({"words_per_minute": 1000}, "words_per_minute is 1000"),
        ({"sample_rate_hz": 0}, "sample_rate_hz is 0"),
        ({"voices": []}, "voices is ''"),
        ({"voices": ["en-us", "en-us"]}, "each once"),
        ({"domain": "poems"}, "no text domain is called 'poems'"),
        ({"voices": ["martian"], "num_utterances": 3}, "no voice 'martian'"),
    ],
)
def test_refusals(tmp_path: pathlib.Path, options: dict[str, object], reason: str) -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    with pytest.raises(data.DataError, match=reason):
        data.build("espeak", data_dir=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from data.text.espeak import engine

    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(engine.EngineError, match=r"pip install \.\[demo\]"):
        engine.Engine()


def test_an_engine_that_ends_is_an_error(tmp_path: pathlib.Path, monkeypatch) -> None:
    """Not a broken pipe, and not a wait for ever."""
    (tmp_path / "engine.py").write_text("")
    monkeypatch.setattr(synthesis.engine, "__file__", str(tmp_path / "engine.py"))

    def texts() -> Iterator[synthesis.Utterance]:
        for i in range(3):
            time.sleep(1)  # long enough for the process to have ended
            yield synthesis.Utterance(f"text {i}", "en-us", 150)

    with pytest.raises(data.DataError, match="ended while it synthesised 'text 0'"):
        list(synthesis.synthesise(texts()))


def test_what_no_voice_reads() -> None:
    """Pictures, damaged characters, and words that are spelled by the names of their letters."""
    read = "Łódź and Škoda: “naïve” café at 21 °C, 5€ and ½ of it\u2026 привет"
    texts = [read, "日本 is\u00a0far", "a smile 😀, a \ufffd and a \x01", "\u200bfar"]
    assert data.espeak.unspeakable(texts, voice="en-us") == {"日本", "😀", "\ufffd", "\x01"}
    assert not data.espeak.unspeakable(["привет, мой объект", "ёлка я"], voice="ru")
    assert not data.espeak.unspeakable(["你好"], voice="cmn")
    assert not data.espeak.unspeakable([], voice="en-us")
    with pytest.raises(data.DataError, match="no voice 'martian'"):
        data.espeak.unspeakable(["Łódź"], voice="martian")


def test_a_process_that_waits_gives_the_same_phones() -> None:
    """It is for one text, and ends with it."""
    names = [*"01234", "_"]
    process = data.espeak.start()
    with pytest.raises(data.DataError, match="has the phones"):
        data.espeak.utterance("seven", voice="en-us", phones=names, process=process)
    assert process.poll() is not None
    waiting = data.espeak.start()
    texts = [synthesis.Utterance("seven", "en-us", 150)]
    (of_waiting,) = synthesis.synthesise(texts, waiting)
    (of_another,) = synthesis.synthesise(texts)
    assert of_waiting.phones == of_another.phones
    np.testing.assert_array_equal(of_waiting.samples, of_another.samples)
