"""Phones carried over from what eSpeak says: where they must lie, and how far off they are."""

import pathlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import soundfile

import data
from data import alignment
from data.espeak.synthesis import NATIVE_RATE_HZ, Span, Speech, Utterance, synthesise

pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")


@pytest.fixture(scope="module")
def speech() -> Speech:
    (said,) = synthesise([Utterance("the judge joined another boat", "en-us", 150)])
    return said


def deviations_ms(found, true, rate_hz: int) -> np.ndarray:
    edges = [(a.start - b.start, a.end - b.end) for a, b in zip(found, true, strict=True)]
    return np.abs(np.array(edges)).ravel() / rate_hz * 1000


def test_what_espeak_says_is_aligned_with_itself(speech: Speech) -> None:
    found = alignment.align(speech, speech.samples, NATIVE_RATE_HZ)
    assert [phone.name for phone in found.phones] == [phone.name for phone in speech.phones]
    assert deviations_ms(found.phones, speech.phones, NATIVE_RATE_HZ).max() < 8
    assert [word.name for word in found.words] == [word.name for word in speech.words]
    assert deviations_ms(found.words, speech.words, NATIVE_RATE_HZ).max() < 8


def test_a_pause_put_before_moves_all_but_the_first(speech: Speech) -> None:
    later = np.pad(speech.samples, (NATIVE_RATE_HZ // 2, 0))
    found = alignment.align(speech, later, NATIVE_RATE_HZ)
    assert found.phones[0].start == 0 and found.phones[-1].end == len(later)
    moved = [word.start - NATIVE_RATE_HZ // 2 for word in found.words]
    true = [word.start for word in speech.words]
    assert np.abs(np.subtract(moved, true)).max() / NATIVE_RATE_HZ < 0.03


def test_another_reader_who_is_slower(speech: Speech) -> None:
    (slow,) = synthesise([Utterance("the judge joined another boat", "en-us+f2", 100)])
    found = alignment.align(speech, slow.samples, NATIVE_RATE_HZ)
    assert np.median(deviations_ms(found.words, slow.words, NATIVE_RATE_HZ)) < 30


@hypothesis.given(
    inner=st.lists(st.integers(-5, 2000), max_size=8),
    shortest=st.integers(1, 40),
    spare=st.integers(0, 1500),
)
def test_edges_rise_by_what_a_phone_lasts_at_least(inner, shortest, spare) -> None:
    length = shortest * (len(inner) + 1) + spare
    edges = alignment._spread(inner, length, shortest)
    assert (edges[0], edges[-1]) == (0, length)
    assert (np.diff(edges) >= shortest).all()


def test_edges_that_fit_stay_where_they_are() -> None:
    edges = alignment._spread([100, 300, 350], 1000, 20)
    np.testing.assert_array_equal(edges, [0, 100, 300, 350, 1000])


@pytest.mark.parametrize("length", [0, 1, 100])
def test_what_is_too_short_is_not_aligned(speech: Speech, length: int) -> None:
    assert alignment.align(speech, np.ones(length, np.int16), 8000) is None
    assert not alignment.fits(speech, length / 8000)
    assert alignment.fits(speech, 1.0)


def test_silence_is_aligned_somehow(speech: Speech) -> None:
    found = alignment.align(speech, np.zeros(8000, np.int16), 8000)
    assert all(a.end == b.start for a, b in zip(found.phones, found.phones[1:], strict=False))


def test_words_of_timit_are_found(shared: pathlib.Path) -> None:
    """Every third sentence of the sample: far nearer than by stretching evenly."""
    paths = sorted((shared / "timit").rglob("*.wav"))[::3]
    if not paths:
        pytest.skip("no TIMIT here")
    said, true, sounds = [], [], []
    for path in paths:
        text = path.with_suffix(".txt").read_text().split(maxsplit=2)[2]
        said.append(Utterance(text, "en-us", 150))
        rows = [line.split() for line in path.with_suffix(".wrd").read_text().splitlines()]
        true.append([Span(name, int(start), int(end)) for start, end, name in rows])
        sounds.append(soundfile.read(path, dtype="int16")[0])
    aligned, stretched = [], []
    for speech, words, samples in zip(synthesise(said), true, sounds, strict=True):
        if len(speech.words) != len(words):  # eSpeak writes some words as one
            continue
        found = alignment.align(speech, samples, 16000)
        aligned.append(deviations_ms(found.words, words, 16000))
        scale = len(samples) / len(speech.samples)
        even = [Span(w.name, round(scale * w.start), round(scale * w.end)) for w in speech.words]
        stretched.append(deviations_ms(even, words, 16000))
    assert len(aligned) > 0.8 * len(paths)
    assert np.median(np.concatenate(aligned)) < 35
    assert np.percentile(np.concatenate(aligned), 90) < 130
    assert np.median(np.concatenate(stretched)) > 90


def test_a_corpus_of_text_gets_phones_and_pitch(shared: pathlib.Path, tmp_path) -> None:
    source = tmp_path / "source"
    (source / "wavs").mkdir(parents=True)
    rows = (shared / "ljspeech" / "metadata.csv").read_text().splitlines()[:5]
    (source / "metadata.csv").write_text("\n".join(rows) + "\n")
    for row in rows:
        name = f"wavs/{row.split('|')[0]}.wav"
        (source / name).symlink_to(shared / "ljspeech" / name)
    options = {"source": source, "sample_rate_hz": 8000, "align": "en-us", "f0": True}
    data.build("ljspeech", data_dir=tmp_path, **options)
    corpus = data.load("ljspeech", tmp_path, "validation")
    names = np.array(corpus.class_names["phones"])
    voiced: dict[str, list[bool]] = {"vowel": [], "s": []}
    for i in range(len(corpus)):
        example = corpus.recording(i)
        starts, ends = example["phone_starts"], example["phone_ends"]
        assert starts[0] == 0 and ends[-1] == len(example["audio"])
        np.testing.assert_array_equal(starts[1:], ends[:-1])
        assert (ends > starts).all() and len(example["phones"]) == len(starts)
        assert set(example["word_starts"]) <= set(starts)
        assert set(example["word_ends"]) <= set(ends)
        assert len(example["words"]) == len(example["word_starts"])
        assert len(example["f0_hz"]) == -(-len(example["audio"]) // 40)
        phones = names[example["phones"]]
        at = example["f0_hz"][(starts + ends) // 2 // 40] > 0
        vowels = ["i:", "A:", "aI", "eI", "oU", "u:", "E", "I", "a", "V", "0"]
        voiced["vowel"] += list(at[np.isin(phones, vowels)])
        voiced["s"] += list(at[phones == "s"])
    assert np.mean(voiced["vowel"]) > 0.75 > 0.45 > np.mean(voiced["s"])


def test_a_text_that_no_recording_can_hold(tmp_path) -> None:
    source = tmp_path / "source"
    (source / "wavs").mkdir(parents=True)
    rows = [f"LJ001-000{i}|x|{'a boat' if i else 'seven words ' * 40}" for i in range(6)]
    (source / "metadata.csv").write_text("\n".join(rows) + "\n")
    sound = (np.random.default_rng(0).normal(size=4000) * 3000).astype(np.int16)
    for row in rows:
        soundfile.write(source / "wavs" / f"{row.split('|')[0]}.wav", sound, 8000)
    options = {"data_dir": tmp_path / "out", "source": source, "align": "en-us"}
    with pytest.raises(data.DataError, match=r"LJ001-0000.wav is too short for its text, 'seven"):
        data.build("ljspeech", **options)
    data.build("ljspeech", **options, skip_bad=True, max_dropped_share=0.5)
    left = [
        data.load("ljspeech", tmp_path / "out", split).names for split in ("train", "validation")
    ]
    assert "LJ001-0000" not in sum(left, ())
    assert sum(map(len, left)) == 5


def test_a_voice_that_does_not_exist(tmp_path) -> None:
    source = tmp_path / "source"
    (source / "wavs").mkdir(parents=True)
    rows = [f"LJ001-000{i}|x|a boat" for i in range(6)]
    (source / "metadata.csv").write_text("\n".join(rows) + "\n")
    for row in rows:
        path = source / "wavs" / f"{row.split('|')[0]}.wav"
        soundfile.write(path, np.arange(4000, dtype=np.int16), 8000)
    with pytest.raises(data.DataError, match="no voice 'martian'"):
        data.build("ljspeech", data_dir=tmp_path / "out", source=source, align="martian")
    assert not (tmp_path / "out").exists()
