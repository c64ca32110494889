"""The corpora of the paper and of its successors, laid out as they are distributed."""

import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from made import noise, write

import data


def write_text(path: pathlib.Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def vctk(root: pathlib.Path) -> None:
    folder = root / "VCTK-Corpus-0.92"
    write_text(folder / "speaker-info.txt", "ID  AGE  GENDER")
    for speaker in ("p225", "p315"):
        for i in range(1, 22):
            name = f"{speaker}_{i:03}"
            for microphone in (1, 2):
                path = folder / "wav48_silence_trimmed" / speaker / f"{name}_mic{microphone}.flac"
                write(path, noise(400, 100 * microphone + i), 48000)
            if speaker != "p315":
                write_text(folder / "txt" / speaker / f"{name}.txt", f"Sentence {i}.")


def old_vctk(root: pathlib.Path) -> None:
    for i in range(1, 21):
        path = root / "VCTK-Corpus" / "wav48" / "p226" / f"p226_{i:03}.wav"
        write(path, noise(400, i), 48000)
        write_text(root / "VCTK-Corpus" / "txt" / "p226" / f"p226_{i:03}.txt", f"Sentence {i}.")


def librispeech(root: pathlib.Path) -> None:
    write_text(root / "LibriSpeech" / "SPEAKERS.TXT", ";ID |SEX", "84 | F")
    for i, (part, speaker) in enumerate(
        (("train-clean-100", 103), ("train-other-500", 20), ("dev-clean", 84), ("test-clean", 61))
    ):
        folder = root / "LibriSpeech" / part / str(speaker) / "121"
        names = [f"{speaker}-121-{n:04}" for n in range(2)]
        for n, name in enumerate(names):
            write(folder / f"{name}.flac", noise(300, 10 * i + n), 16000)
        write_text(folder / f"{speaker}-121.trans.txt", *(f"{name} A TEXT" for name in names))


def cmu_arctic(root: pathlib.Path) -> None:
    for speaker in ("bdl", "slt"):
        folder = root / f"cmu_us_{speaker}_arctic"
        names = [f"arctic_a{n:04}" for n in range(1, 9)]
        for n, name in enumerate(names):
            write(folder / "wav" / f"{name}.wav", noise(16000, n), 16000)
            labels = ("0.25000 125 pau", "0.50000 125 ao", "0.99995 125 pau")
            write_text(folder / "lab" / f"{name}.lab", "separator ;", "nfields 1", "#", *labels)
        lines = [f'( {name} "He said \\"no\\", twice." )' for name in names]
        write_text(folder / "etc" / "txt.done.data", *lines)


def speech_commands(root: pathlib.Path) -> None:
    for n, word in enumerate(("zero", "nine", "bed")):
        for take in range(3):
            write(root / word / f"0c40e71{take}_nohash_0.wav", noise(300, 10 * n + take), 16000)
    write(root / "_background_noise_" / "pink_noise.wav", noise(900), 16000)
    write_text(
        root / "validation_list.txt", "bed/0c40e710_nohash_0.wav", "zero/0c40e711_nohash_0.wav"
    )
    write_text(root / "testing_list.txt", "nine/0c40e712_nohash_0.wav")


def magnatagatune(root: pathlib.Path) -> None:
    """60 tags, of which the first 55 occur: the later the more often, but for the first."""
    names = [f"tag {i}" for i in range(60)]
    rows = ["\t".join(["clip_id", *names, "mp3_path"])]
    for clip, folder in enumerate("0bcdf"):
        path = f"{folder}/artist-album-{clip}-0-29.mp3"
        (root / folder).mkdir(parents=True, exist_ok=True)
        write(root / path, noise(16000, clip), 16000)
        has = [
            "1" if (i < 5 and clip == 0) or (5 <= i < 55 and clip < 2) else "0" for i in range(60)
        ]
        rows.append("\t".join([str(clip), *has, path]))
    write_text(root / "annotations_final.csv", *rows)


def sorted_pieces(root: pathlib.Path) -> None:
    for i in range(50):
        write(root / "pieces" / f"out{i}.wav", noise(100 + i, i), 16000)


def maestro(root: pathlib.Path) -> None:
    folder = root / "maestro-v3.0.0"
    header = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"
    rows = []
    for i, split in enumerate(("train", "test", "validation", "train")):
        name = f"2018/{i}.wav"
        stereo = np.stack([noise(300, i)] * 2, axis=1)
        write(folder / name, stereo, 44100)
        composer = "Claude Debussy" if i else "Alban Berg"
        rows.append(f'{composer},"Sonata, Op. {i}",{split},2018,2018/{i}.midi,{name},1.0')
    write_text(folder / "maestro-v3.0.0.csv", header, *rows)


def nsynth(root: pathlib.Path, parts: tuple[str, ...] = ("train", "valid", "test")) -> None:
    for i, part in enumerate(parts):
        notes = {}
        for instrument in range(3):
            note = f"bass_synthetic_{i}{instrument:02}-0{60 + instrument}-025"
            write(root / f"nsynth-{part}" / "audio" / f"{note}.wav", noise(200, i), 16000)
            notes[note] = {
                "pitch": 60 + instrument,
                "velocity": 25,
                "instrument_str": f"bass_synthetic_{i}{instrument:02}",
                "instrument_family_str": "bass",
                "instrument_source_str": "synthetic",
                "note": 1,
            }
        write_text(root / f"nsynth-{part}" / "examples.json", json.dumps(notes))


LAYOUTS: dict[str, Callable[[pathlib.Path], None]] = {
    "vctk": vctk,
    "librispeech": librispeech,
    "cmu_arctic": cmu_arctic,
    "speech_commands": speech_commands,
    "magnatagatune": magnatagatune,
    "youtube_mix": sorted_pieces,
    "beethoven": sorted_pieces,
    "maestro": maestro,
    "nsynth": nsynth,
}
OPTIONS = {"maestro": {"mono": True}, "vctk": {"trim_db": None}}


def build(name: str, tmp_path: pathlib.Path, make: Callable | None = None, **options: object):
    """The splits of a corpus made and built."""
    source = tmp_path / "in"
    source.mkdir(parents=True)
    (make or LAYOUTS[name])(source)
    return loaded(name, tmp_path / "out", source, **options)


def loaded(name: str, data_dir: pathlib.Path, source: pathlib.Path, **options: object):
    data.build(name, data_dir=data_dir, source=source, **OPTIONS.get(name, {}) | options)
    return {split: data.load(name, data_dir, split) for split in data.splits(name, data_dir)}


def names(splits: dict[str, data.Corpus]) -> dict[str, list[str]]:
    return {split: list(corpus.names) for split, corpus in splits.items()}


def of_recording(splits: dict[str, data.Corpus], name: str) -> dict:
    for corpus in splits.values():
        if name in corpus.names:
            return corpus.recording(corpus.names.index(name))
    raise KeyError(name)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_archive_is_the_folder(name: str, tmp_path: pathlib.Path) -> None:
    splits = build(name, tmp_path)
    assert {"train", "validation"} <= splits.keys()
    archive = shutil.make_archive(str(tmp_path / "archive"), "gztar", tmp_path / "in")
    again = loaded(name, tmp_path / "again", pathlib.Path(archive))
    assert names(again) == names(splits)
    for split, corpus in splits.items():
        for i in range(len(corpus)):
            one, other = corpus.recording(i), again[split].recording(i)
            assert one.keys() == other.keys()
            np.testing.assert_array_equal(one["audio"], other["audio"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vctk", r"laid out as VCTK is: it should hold wav48\*"),
        ("librispeech", r"LibriSpeech is: it should hold \*-\*/\*/\*/\*\.trans\.txt"),
        ("cmu_arctic", r"CMU Arctic is: it should hold cmu_us_\*_arctic\*"),
        ("speech_commands", r"Speech Commands is: it should hold validation_list\.txt"),
        ("magnatagatune", r"MagnaTagATune is: it should hold annotations_final\.csv"),
        ("youtube_mix", r"YouTubeMix is: it should hold \*\.wav"),
        ("beethoven", r"Beethoven is: it should hold \*\.wav"),
        ("maestro", r"MAESTRO is: it should hold maestro-v\*\.csv"),
        ("nsynth", r"NSynth is: it should hold nsynth-\*/examples\.json"),
    ],
)
def test_another_layout_is_refused(name: str, expected: str, tmp_path: pathlib.Path) -> None:
    write_text(tmp_path / "in" / "README.txt", "another corpus")
    with pytest.raises(data.DataError, match=f"{expected}, and holds README.txt"):
        data.build(name, data_dir=tmp_path / "out", source=tmp_path / "in")
    assert not (tmp_path / "out").exists()


def test_vctk(tmp_path: pathlib.Path) -> None:
    splits = build("vctk", tmp_path / "new")
    assert splits["train"].class_names["speaker"] == ("p225", "p315")
    assert names(splits)["validation"] == ["p225_010", "p315_010"]
    assert names(splits)["test"] == ["p225_020", "p315_020"]
    assert len(splits["train"]) == 38
    first = of_recording(splits, "p225_001")
    np.testing.assert_array_equal(first["audio"], noise(400, 101))
    assert first["text"] == "Sentence 1."
    assert of_recording(splits, "p315_001")["text"] == ""
    other = build("vctk", tmp_path / "mic2", microphone="mic2")
    np.testing.assert_array_equal(of_recording(other, "p225_001")["audio"], noise(400, 201))
    old = build("vctk", tmp_path / "old", old_vctk)
    assert (len(old["train"]), names(old)["test"]) == (18, ["p226_020"])
    with pytest.raises(data.DataError, match="microphone is 'mic3'"):
        build("vctk", tmp_path / "third", microphone="mic3")
    assert data.OPTIONS["vctk"]["trim_db"] == 40


def test_librispeech(tmp_path: pathlib.Path) -> None:
    splits = build("librispeech", tmp_path / "whole")
    held = {split: [name.split("-")[0] for name in part] for split, part in names(splits).items()}
    expected = {"train": ["103"] * 2 + ["20"] * 2, "validation": ["84"] * 2, "test": ["61"] * 2}
    assert held == expected
    assert splits["train"].class_names["speaker"] == ("20", "61", "84", "103")
    recording = of_recording(splits, "20-121-0001")
    assert (recording["text"], recording["part"]) == ("A TEXT", "train-other-500")
    np.testing.assert_array_equal(recording["audio"], noise(300, 11))

    def one_part(root: pathlib.Path) -> None:
        for chapter in range(40):
            folder = root / "LibriSpeech" / "train-clean-100" / "1" / str(chapter)
            write(folder / f"1-{chapter}-0000.flac", noise(300), 16000)
            write_text(folder / f"1-{chapter}.trans.txt", f"1-{chapter}-0000 A TEXT")

    assert {"train", "validation"} <= build("librispeech", tmp_path / "part", one_part).keys()

    def damaged(root: pathlib.Path) -> None:
        librispeech(root)
        (root / "LibriSpeech" / "dev-clean" / "84" / "121" / "84-121-0001.flac").unlink()

    with pytest.raises(data.DataError, match=r"line 2 of .*84-121\.trans\.txt is '84-121-0001 A"):
        build("librispeech", tmp_path / "damaged", damaged)


def test_cmu_arctic(tmp_path: pathlib.Path) -> None:
    splits = build("cmu_arctic", tmp_path / "two", sample_rate_hz=8000)
    for part in names(splits).values():
        sentences = [name.split("/") for name in part]
        assert {s for who, s in sentences if who == "bdl"} == {
            s for who, s in sentences if who == "slt"
        }
    recording = of_recording(splits, "slt/arctic_a0002")
    assert recording["text"] == 'He said "no", twice.'
    phones = splits["train"].class_names["phones"]
    assert [phones[i] for i in recording["phones"]] == ["pau", "ao", "pau"]
    # Half the rate, half the positions; the last rounds up to the end.
    assert recording["phone_starts"].tolist() == [0, 2000, 4000]
    assert recording["phone_ends"].tolist() == [2000, 4000, 8000]
    assert len(recording["audio"]) == 8000
    with pytest.raises(data.DataError, match="cmu_arctic has no option 'trim_db'"):
        build("cmu_arctic", tmp_path / "trimmed", trim_db=40.0)

    def with_labels(*lines: str) -> Callable[[pathlib.Path], None]:
        def make(root: pathlib.Path) -> None:
            cmu_arctic(root)
            write_text(root / "cmu_us_slt_arctic" / "lab" / "arctic_a0003.lab", *lines)

        return make

    for i, (lines, message) in enumerate(
        (
            (("#", "1.5 125 pau"), r"a0003\.wav lasts 1\.000 s and its labels 1\.500 s"),
            (
                ("#", "0.5 125 a", "0.4 125 b"),
                r"line 3 of .*a0003\.lab ends b at 0\.4 s, not after",
            ),
            (("#", "half 125 a"), r"line 2 of .*a0003\.lab is 'half 125 a': it must be END_S"),
            (("0.5 125 a",), r"a0003\.lab has no phones after a line #"),
        )
    ):
        with pytest.raises(data.DataError, match=message):
            build("cmu_arctic", tmp_path / str(i), with_labels(*lines))


def test_speech_commands(tmp_path: pathlib.Path) -> None:
    splits = build("speech_commands", tmp_path)
    assert names(splits)["validation"] == ["zero/0c40e711_nohash_0.wav"]
    assert names(splits)["test"] == ["nine/0c40e712_nohash_0.wav"]
    assert len(splits["train"]) == 4
    assert len(splits["train"].class_names["digit"]) == 10
    recording = of_recording(splits, "nine/0c40e711_nohash_0.wav")
    assert (recording["digit"], recording["speaker"]) == (9, "0c40e711")
    np.testing.assert_array_equal(recording["audio"], noise(300, 11))


def test_magnatagatune(tmp_path: pathlib.Path) -> None:
    splits = build("magnatagatune", tmp_path)
    held = {split: [name[0] for name in part] for split, part in names(splits).items()}
    assert held == {"train": ["0", "b"], "validation": ["c"], "test": ["d", "f"]}
    tags = splits["train"].class_names["tags"]
    assert tags == tuple(f"tag {i}" for i in range(5, 55))
    assert splits["train"].several == {"tags"}
    assert splits["train"].label(0, "tags").tolist() == list(range(50))
    assert splits["validation"].label(0, "tags").tolist() == []
    windows = data.training_windows(
        splits["train"],
        segment_samples=8000,
        context_samples=0,
        batch_size=2,
        seed=0,
        global_labels=("tags",),
    )
    batch = next(windows)
    windows.close()
    assert batch["global"].tolist() == [[1] * 50] * 2


@pytest.mark.parametrize("name", ["youtube_mix", "beethoven"])
def test_pieces_in_their_natural_order(name: str, tmp_path: pathlib.Path) -> None:
    splits = names(build(name, tmp_path))
    assert splits["train"] == [f"out{i}.wav" for i in range(44)]
    assert splits["validation"] == [f"out{i}.wav" for i in range(44, 47)]
    assert splits["test"] == [f"out{i}.wav" for i in range(47, 50)]


def test_maestro(tmp_path: pathlib.Path) -> None:
    splits = build("maestro", tmp_path / "whole")
    assert names(splits) == {
        "train": ["2018/0.wav", "2018/3.wav"],
        "validation": ["2018/2.wav"],
        "test": ["2018/1.wav"],
    }
    recording = of_recording(splits, "2018/3.wav")
    assert splits["train"].class_names["composer"][recording["composer"]] == "Claude Debussy"
    assert (recording["title"], recording["year"]) == ("Sonata, Op. 3", 2018)
    np.testing.assert_array_equal(recording["audio"], noise(300, 3))

    def damaged(root: pathlib.Path) -> None:
        maestro(root)
        (root / "maestro-v3.0.0" / "2018" / "2.wav").unlink()

    with pytest.raises(
        data.DataError, match=r"2018/2\.wav is missing, and line 4 of .*\.csv names"
    ):
        build("maestro", tmp_path / "damaged", damaged)


def test_nsynth(tmp_path: pathlib.Path) -> None:
    splits = build("nsynth", tmp_path / "whole")
    assert {split: len(corpus) for split, corpus in splits.items()} == {
        "train": 3,
        "validation": 3,
        "test": 3,
    }
    recording = splits["validation"].recording(1)
    assert splits["train"].class_names["pitch"][recording["pitch"]] == "61"
    assert recording["velocity"] == 25
    assert len(splits["train"].class_names["instrument"]) == 9
    alone = build("nsynth", tmp_path / "part", lambda root: nsynth(root, ("valid",)))
    assert sum(len(corpus) for corpus in alone.values()) == 3
    assert {"train", "validation"} <= alone.keys()

    def damaged(root: pathlib.Path) -> None:
        nsynth(root)
        write_text(root / "nsynth-test" / "examples.json", '{"note": {"pitch": 1}}')

    with pytest.raises(data.DataError, match=r"examples\.json is not as NSynth's is \(KeyError"):
        build("nsynth", tmp_path / "damaged", damaged)


def test_no_builder_loads_tensorflow() -> None:
    program = (
        "import importlib, sys\n"
        "import data\n"
        "for name in data.OPTIONS:\n"
        "    importlib.import_module(f'data.{name}.{name}_dataset_builder')\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    root = pathlib.Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
