"""Notes made on the spot: which are held out, that they sound as labelled, and the same bytes."""

import dataclasses
import itertools
import pathlib
import pickle
import sys

import librosa
import numpy as np
import pytest

import data
from data.audio import reading, soundfont
from data.datasets.notes import notes_dataset_builder as notes

SPLITS = ("train", "validation", "test")
INSTRUMENTS = ("flute", "piano")
OTHER = {"sample_rate_hz": 8000, "moved_semitones": 0}


def built(data_dir: pathlib.Path, **options: object) -> dict[str, data.Corpus]:
    pytest.importorskip("midirenderer", reason="the synthesiser is in the extra notes")
    data.build("notes", data_dir=data_dir, instruments=list(INSTRUMENTS), **options)
    return {split: data.load("notes", data_dir, split) for split in SPLITS}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, data.Corpus]:
    return built(tmp_path_factory.mktemp("notes"))


def named(corpus: data.Corpus, i: int) -> tuple[str, int, int, int]:
    """Instrument, pitch, velocity and tuning of a note."""
    note, names = corpus.recording(i), corpus.class_names
    instrument, pitch = (names[label][note[label]] for label in ("instrument", "pitch"))
    cents = int(corpus.names[i][-3:])
    return instrument, int(pitch), int(note["velocity"]), cents


@pytest.mark.parametrize(
    "instruments",
    [tuple(notes.PROGRAMS), notes.FAMILIES, *itertools.combinations(notes.FAMILIES, 2)],
    ids="+".join,
)
def test_held_out_pairs_are_of_trained_labels(instruments: tuple[str, ...]) -> None:
    """Also where as few instruments as possible are chosen."""
    splits = notes.plan(instruments)
    pairs = {split: {(n.instrument, n.pitch) for n in part} for split, part in splits.items()}
    assert sum(map(len, pairs.values())) == len(set().union(*pairs.values()))
    assert {n.instrument for n in splits["train"]} == set(instruments)
    assert {n.pitch for n in splits["train"]} == set(notes.PITCHES)
    for split in ("validation", "test"):
        for instrument in instruments:
            held_out = sorted(pitch for name, pitch in pairs[split] if name == instrument)
            assert len(held_out) == 3 and set(np.diff(held_out)) == {8}
            # The neighbours, where there are any, are trained with the instrument.
            beside = {pitch + step for pitch in held_out for step in (-1, 1)} & set(notes.PITCHES)
            assert {(instrument, pitch) for pitch in beside} <= pairs["train"]


def test_every_note_is_there_once() -> None:
    planned = list(itertools.chain(*notes.plan(notes.FAMILIES).values()))
    assert len(planned) == len(set(planned)) == 8 * 24 * 3 * 3


def test_more_instruments_leave_what_the_eight_hold_out() -> None:
    """So that a model of all may be judged by the test notes of the eight, and go on with them."""
    every = notes.plan(notes._instruments(instruments=["all"], **OTHER))
    assert len({note.instrument for note in every["train"]}) == 48
    eight = notes.plan(notes._instruments(instruments=None, **OTHER))
    for split, planned in eight.items():
        assert planned == [note for note in every[split] if note.instrument in notes.FAMILIES]


def test_moved_notes_are_of_train_notes_and_fill_what_is_held_out() -> None:
    """No note that is held out sounds in train, at any pitch."""
    plain, moved = (notes.plan(notes.FAMILIES, number) for number in (0, 2))
    assert moved["train"][: len(plain["train"])] == plain["train"]
    assert (moved["validation"], moved["test"]) == (plain["validation"], plain["test"])
    trained = {(note.instrument, note.pitch) for note in plain["train"]}
    more = moved["train"][len(plain["train"]) :]
    assert all(1 <= abs(note.moved) <= 2 and not note.cents for note in more)
    assert {(note.instrument, note.pitch - note.moved) for note in more} == trained
    pairs = {(note.instrument, note.pitch) for note in moved["train"]}
    assert pairs == set(itertools.product(notes.FAMILIES, notes.PITCHES))


@pytest.mark.parametrize("moved", [-2, 1])
def test_a_moved_note_has_its_label(moved: int) -> None:
    pytest.importorskip("midirenderer", reason="the synthesiser is in the extra notes")
    reader = notes.NoteReader(8000)
    (made,) = reader.recordings(notes.Played("violin", 69, 90, 0, moved), reading.Notices())
    assert (len(made["audio"]), made["pitch"]) == (8000, "69")
    assert made["recording"] == f"violin-069-090+00-moved{moved:+}"
    held = made["audio"][800:5600].astype(float)
    found_hz = np.median(librosa.yin(held, fmin=200, fmax=1200, sr=8000, frame_length=1024))
    assert abs(librosa.hz_to_midi(found_hz) - 69) < 0.2
    assert np.std(made["audio"][-160:]) < 0.2 * held.std()


def test_the_corpus_is_the_plan(corpora: dict[str, data.Corpus]) -> None:
    for split, planned in notes.plan(INSTRUMENTS).items():
        corpus = corpora[split]
        found = [named(corpus, i) for i in range(len(corpus))]
        assert found == [dataclasses.astuple(note)[:-1] for note in planned]
        assert corpus.lengths.tolist() == [8000] * len(planned)
        assert corpus.sample_rate_hz == 8000 and "GPL-2.0" in corpus.licence


def test_the_pitch_is_that_of_the_label(corpora: dict[str, data.Corpus]) -> None:
    errors: list[float] = []
    tuned: dict[int, list[float]] = {}
    for corpus in (corpora["validation"], corpora["test"]):
        for i in range(len(corpus)):
            held = corpus.recording(i)["audio"][800:5600].astype(float)
            found_hz = np.median(librosa.yin(held, fmin=200, fmax=1200, sr=8000, frame_length=1024))
            _, pitch, _, cents = named(corpus, i)
            errors.append(librosa.hz_to_midi(found_hz) - pitch)
            tuned.setdefault(cents, []).append(errors[-1])
    assert len(errors) == 2 * 6 * 9 and np.abs(errors).max() < 0.3  # of a semitone
    flat, exact, sharp = (np.mean(tuned[cents]) for cents in (-12, 0, 12))
    assert 0.10 < sharp - exact < 0.14 and 0.10 < exact - flat < 0.14


def test_a_note_is_louder_with_its_velocity_and_ends(corpora: dict[str, data.Corpus]) -> None:
    loudness: dict[tuple[str, int, int], dict[int, float]] = {}
    for corpus in corpora.values():
        for i in range(len(corpus)):
            sound = corpus.recording(i)["audio"].astype(float)
            held, ended = np.std(sound[:6000]), np.std(sound[-160:])
            assert 400 < held < 12000 and ended < 0.2 * held, named(corpus, i)
            assert np.abs(sound).max() < 32767
            instrument, pitch, velocity, cents = named(corpus, i)
            loudness.setdefault((instrument, pitch, cents), {})[velocity] = float(held)
    for of_pair in loudness.values():
        assert len(of_pair) == 3
        assert of_pair[60] < of_pair[90] < of_pair[120]


def test_a_note_is_the_same_bytes_whatever_was_rendered_before(
    corpora: dict[str, data.Corpus],
) -> None:
    """By another process's copy of the reader, in another order."""
    reader = pickle.loads(pickle.dumps(notes.NoteReader(8000)))
    planned = notes.plan(INSTRUMENTS)["test"]
    for i in reversed(range(0, len(planned), 2)):
        (made,) = reader.recordings(planned[i], reading.Notices())
        np.testing.assert_array_equal(made["audio"], corpora["test"].recording(i)["audio"])
        assert made["recording"] == corpora["test"].names[i]


def test_numbers_of_a_midi_file() -> None:
    """The examples of the standard."""
    for value, written in ((0, "00"), (0x7F, "7f"), (0x80, "8100"), (0x3FFF, "ff7f")):
        assert soundfont._number(value).hex() == written


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"instruments": ["kazoo", "piano"]}, "no instrument is called 'kazoo': there are piano"),
        ({"instruments": ["piano"]}, "instruments is 'piano': name at least two, each once"),
        ({"instruments": ["piano", "piano"]}, "name at least two, each once"),
        ({"instruments": []}, "instruments is ''"),
        ({"sample_rate_hz": 100}, "sample_rate_hz is 100: it must be between 4000 and 48000"),
        ({"moved_semitones": 7}, "moved_semitones is 7: give 0 to 6"),
        ({"seed": 1}, "notes has no option 'seed'"),
    ],
)
def test_refusals(tmp_path: pathlib.Path, options: dict[str, object], reason: str) -> None:
    with pytest.raises(data.DataError, match=reason):
        data.build("notes", data_dir=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_without_the_extra(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either of its packages; nothing half-written is left."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "midirenderer", None)
        with pytest.raises(data.DataError, match=r"midirenderer is not .*pip install \.\[notes\]"):
            data.build("notes", data_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(soundfont, "SOUNDFONT", ("no_such_package", "TimGM6mb.sf2"))
    soundfont.soundfont.cache_clear()
    with pytest.raises(data.DataError, match=r"TimGM6mb\.sf2 of the package no_such_package is no"):
        soundfont.soundfont()
