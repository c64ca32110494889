"""Phones and words of a text in a recording: near the labels by hand, and in any recording."""

import itertools
import pathlib
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import noise

import data
from data.text import alignment
from data.text.espeak.engine import NATIVE_RATE_HZ
from data.text.espeak.synthesis import WORDS_PER_MINUTE, Utterance, synthesise
from data.text.spans import PAUSE, Span, Speech


def synthesised(*texts: str) -> list[Speech]:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    return list(synthesise(Utterance(text, "en-us", WORDS_PER_MINUTE) for text in texts))


@pytest.fixture(scope="module")
def speech() -> Speech:
    return synthesised("The quick brown fox, it seems, jumps over a lazy dog.")[0]


def edges_of(spans: tuple[Span, ...] | list[Span]) -> np.ndarray:
    return np.array([[span.start, span.end] for span in spans])


def check_tiling(phones: tuple[Span, ...], length: int, rate_hz: int) -> None:
    edges = edges_of(phones)
    assert edges[0, 0] == 0 and edges[-1, 1] == length
    np.testing.assert_array_equal(edges[1:, 0], edges[:-1, 1])
    assert (edges[:, 1] - edges[:, 0] >= int(alignment.FRAME_S * rate_hz)).all()
    assert phones[0].name == phones[-1].name == PAUSE
    names = [phone.name for phone in phones]
    assert (PAUSE, PAUSE) not in itertools.pairwise(names)


def bare(phones: tuple[Span, ...]) -> list[tuple[str, str]]:
    return [(phone.name, phone.stress) for phone in phones if phone.name != PAUSE]


def min_frames(speech: Speech) -> int:
    """One a phone, and one a pause at each end and between any two words."""
    return len(bare(speech.phones)) + len(speech.words) + 1


Deviations = dict[str, np.ndarray]
"""Of words' starts and ends from TIMIT's, in ms, by how they were found."""


def deviations_ms(folder: pathlib.Path, every: int) -> Deviations:
    """As aligned, as aligned with a model of the speaker, and as stretched linearly, in each
    sentence of every so many speakers in which eSpeak's words are as many."""
    found: dict[str, list[np.ndarray]] = {}
    for speaker in sorted(path for path in folder.iterdir() if path.is_dir())[::every]:
        paths = sorted(speaker.glob("*.wrd"))
        texts = [
            path.with_suffix(".txt").read_text().split(maxsplit=2)[2].strip() for path in paths
        ]
        sounds = [soundfile.read(path.with_suffix(".wav"), dtype="int16") for path in paths]
        every_one = list(zip(paths, synthesised(*texts), sounds, strict=True))
        aligned = [alignment.align(path, speech, *sound) for path, speech, sound in every_one]
        model = alignment.speaker_model(
            (each, *sound) for each, sound in zip(aligned, sounds, strict=True)
        )
        for (path, speech, (samples, rate_hz)), once in zip(every_one, aligned, strict=True):
            rows = [line.split() for line in path.read_text().splitlines()]
            by_hand = np.array([[int(start), int(end)] for start, end, _ in rows])
            if len(speech.words) != len(by_hand):
                continue
            again = alignment.align(path, speech, samples, rate_hz, model=model)
            linear = edges_of(speech.words) * (len(samples) / len(speech.samples))
            for name, edges in (
                ("warped", edges_of(once.words)),
                ("with the speaker's model", edges_of(again.words)),
                ("stretched", linear),
            ):
                off = np.abs(edges - by_hand).ravel() * 1000 / rate_hz
                found.setdefault(name, []).append(off)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def test_words_are_near_those_labelled_by_hand(shared: pathlib.Path) -> None:
    found = deviations_ms(shared / "timit", every=5)
    warped, stretched = found["warped"], found["stretched"]
    modelled = found["with the speaker's model"]
    assert len(warped) > 300
    assert np.median(warped) < min(25, 0.25 * np.median(stretched))
    assert np.percentile(warped, 90) < min(75, 0.3 * np.percentile(stretched, 90))
    assert np.median(modelled) < 0.75 * np.median(warped)
    assert modelled.mean() < 0.9 * warped.mean()


def test_espeak_itself_is_found_again_however_its_tempo_changes(speech: Speech) -> None:
    """Resampled piece by piece, between silences of 0.3 s and of 0.5 s."""
    cuts = np.linspace(0, len(speech.samples), 5).astype(int)
    parts, at = [np.zeros(6615)], [6615]
    for (start, stop), tempo in zip(itertools.pairwise(cuts), (0.8, 1.3, 1.0, 0.7), strict=True):
        wanted = np.linspace(start, stop, round((stop - start) / tempo), endpoint=False)
        parts.append(np.interp(wanted, np.arange(len(speech.samples)), speech.samples))
        at.append(at[-1] + len(wanted))
    parts.append(np.zeros(11025))
    samples = np.rint(np.concatenate(parts)).astype(np.int16)
    found = alignment.align("it", speech, samples, NATIVE_RATE_HZ)
    phones, words = found.phones, found.words
    check_tiling(phones, len(samples), NATIVE_RATE_HZ)
    assert bare(phones) == bare(speech.phones)
    assert [word.name for word in words] == [word.name for word in speech.words]
    expected = np.interp(edges_of(speech.words), cuts, at)
    assert np.abs(edges_of(words) - expected).max() < 0.05 * NATIVE_RATE_HZ
    assert np.median(np.abs(edges_of(words) - expected)) < 0.01 * NATIVE_RATE_HZ


def test_pauses_are_those_of_the_recording(speech: Speech) -> None:
    """One goes in between "brown" and "fox", one comes out after "fox"."""
    brown, fox, it = speech.words[2:5]
    assert brown.end == fox.start and fox.end < it.start
    pieces = [speech.samples[: brown.end], np.zeros(8000, np.int16)]
    pieces += [speech.samples[fox.start : fox.end], speech.samples[it.start :]]
    samples = np.concatenate(pieces)
    found = alignment.align("it", speech, samples, NATIVE_RATE_HZ)
    phones, words = found.phones, found.words
    assert bare(phones) == bare(speech.phones)
    gaps = np.array([after.start - word.end for word, after in itertools.pairwise(words)])
    before = np.array([a.start - w.end for w, a in itertools.pairwise(speech.words)])
    assert abs(gaps[2] - 8000) < 0.05 * NATIVE_RATE_HZ
    assert gaps[3] == 0
    np.testing.assert_array_equal(np.delete(gaps, [2, 3]) > 0, np.delete(before, [2, 3]) > 0)
    pauses = {phone.start: phone.end for phone in phones if phone.name == PAUSE}
    assert pauses[words[2].end] == words[3].start


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([4000, 8000, 11025, 22050, 48000]))
def test_any_recording_is_tiled(speech: Speech, seed: int, rate_hz: int) -> None:
    """By as much as sounds unlike speech, from the shortest that may be."""
    least = int(np.ceil(min_frames(speech) * alignment.FRAME_S * rate_hz))
    length = least + seed % (2 * rate_hz) * (seed % 3)
    samples = noise(length, seed)
    found = alignment.align("it", speech, samples, rate_hz)
    if seed % 2:
        model = alignment.speaker_model([(found, samples, rate_hz)])
        found = alignment.align("it", speech, samples, rate_hz, model=model)
    phones, words = found.phones, found.words
    check_tiling(phones, length, rate_hz)
    assert bare(phones) == bare(speech.phones)
    starts, ends = edges_of(words).T
    assert (starts < ends).all() and (ends[:-1] <= starts[1:]).all()
    assert {*starts} <= {phone.start for phone in phones}
    assert {*ends} <= {phone.end for phone in phones}


def test_silence_is_tiled_somehow(speech: Speech) -> None:
    found = alignment.align("it", speech, np.zeros(24000, np.int16), 8000)
    check_tiling(found.phones, 24000, 8000)
    model = alignment.speaker_model([(found, np.zeros(24000, np.int16), 8000)])
    again = alignment.align("it", speech, np.zeros(24000, np.int16), 8000, model=model)
    check_tiling(again.phones, 24000, 8000)


@given(
    st.lists(st.floats(-50, 1500), min_size=1, max_size=30).map(sorted),
    st.integers(0, 1000),
    st.integers(1, 20),
)
def test_tiles_are_moved_no_further_than_they_must(
    starts: list[float], more: int, least: int
) -> None:
    length = least * len(starts) + more
    edges = alignment._tiling(np.array(starts), length, least)
    assert edges[0] == 0 and edges[-1] == length
    assert (np.diff(edges) >= least).all()
    wanted = np.rint([0, *starts[1:], length])
    if (np.diff(wanted) >= least).all():
        np.testing.assert_array_equal(edges, wanted)


def test_refusals(speech: Speech) -> None:
    num_phones = len(bare(speech.phones))
    needed = min_frames(speech) * 40
    with pytest.raises(
        data.DataError, match=rf"^a\.wav lasts .* s, and the {num_phones} phones of its text, with"
    ):
        alignment.align("a.wav", speech, noise(needed - 1), 8000)
    with pytest.raises(
        data.DataError, match=r"^a\.wav lasts 40\.1 s, and alignment takes up to 40"
    ):
        alignment.align("a.wav", speech, noise(round(40.1 * 8000)), 8000)
    for nothing in synthesised("", "..."):
        with pytest.raises(data.DataError, match=r"^a\.wav has a text without phones"):
            alignment.align("a.wav", nothing, noise(8000), 8000)


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
    with pytest.raises(data.DataError, match=r"LJ001-0000.wav lasts 0.500 s, and the \d+ ph"):
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


if __name__ == "__main__":
    for name, found in deviations_ms(pathlib.Path(sys.argv[1]), every=1).items():
        median, high = np.percentile(found, [50, 90])
        print(
            f"{name}: median {median:.1f} ms, 90th percentile {high:.1f} ms, mean "
            f"{found.mean():.1f} ms of {len(found)}"
        )
