"""VCTK in both its versions: microphones, lost texts, every speaker in every split."""

import pathlib
import shutil

import numpy as np
import pytest
from synthetic import noise, write

import data

NUMBERS = range(1, 64)


def make_092(root: pathlib.Path, numbers: range = NUMBERS) -> pathlib.Path:
    for i, speaker in enumerate(("p225", "p280", "p315", "s5")):
        for number in numbers:
            name = f"{speaker}_{number:03}"
            for j, microphone in enumerate(("mic1", "mic2")):
                if (speaker, microphone) != ("p280", "mic2"):
                    path = root / "wav48_silence_trimmed" / speaker / f"{name}_{microphone}.flac"
                    write(path, noise(60, 1000 * i + 100 * j + number), 48000)
            if speaker != "p315":
                text = root / "txt" / speaker / f"{name}.txt"
                text.parent.mkdir(parents=True, exist_ok=True)
                text.write_text(f"Sentence {number}.\n")
    (root / "wav48_silence_trimmed" / "log.txt").write_text("about")
    (root / "speaker-info.txt").write_text("ID  AGE  GENDER  ACCENTS\n")
    return root


def make_080(root: pathlib.Path) -> pathlib.Path:
    for speaker in ("p225", "p226"):
        for number in NUMBERS:
            name = f"{speaker}_{number:03}"
            write(root / "wav48" / speaker / f"{name}.wav", noise(60, number), 48000)
            text = root / "txt" / speaker / f"{name}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(f"Sentence {number}.\n")
    return root


def built(
    tmp_path: pathlib.Path, source: pathlib.Path, **options: object
) -> dict[str, data.Corpus]:
    """Sounds of noise are not trimmed at 120 dB."""
    data.build("vctk", data_dir=tmp_path / "out", source=source, **{"trim_db": 120.0} | options)
    return {
        split: data.load("vctk", tmp_path / "out", split)
        for split in ("train", "validation", "test")
    }


def test_every_speaker_is_in_every_split(tmp_path: pathlib.Path) -> None:
    corpora = built(tmp_path, make_092(tmp_path / "in"))
    numbers = {}
    for split, corpus in corpora.items():
        assert corpus.class_names["speaker"] == ("p225", "p280", "p315", "s5")
        by_speaker = {
            speaker: {name[-3:] for name in corpus.names if name.startswith(f"{speaker}_")}
            for speaker in corpus.class_names["speaker"]
        }
        numbers[split] = by_speaker["p225"]
        assert all(numbers[split] == held for held in by_speaker.values())
        for i, name in enumerate(corpus.names):
            example = corpus.recording(i)
            speaker, number = name.split("_")
            assert corpus.class_names["speaker"][example["speaker"]] == speaker
            assert example["text"] == ("" if speaker == "p315" else f"Sentence {int(number)}.")
    # As they were when this was written: a split is never to move.
    assert numbers["validation"] == {"057", "063"}
    assert numbers["test"] == {"010", "023", "042", "058"}
    assert len(numbers["train"]) == 57
    i = corpora["train"].names.index("s5_024")
    np.testing.assert_array_equal(corpora["train"].recording(i)["audio"], noise(60, 3024))


def test_the_second_microphone_from_the_archive(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_092(tmp_path / "VCTK-Corpus-0.92")
    archive = pathlib.Path(shutil.make_archive(str(source), "zip", source))
    train = built(tmp_path, archive, microphone="mic2")["train"]
    assert train.class_names["speaker"] == ("p225", "p315", "s5")
    i = train.names.index("s5_024")
    np.testing.assert_array_equal(train.recording(i)["audio"], noise(60, 3124))
    assert "without recordings by mic2, left out: 1 recording(s)" in caplog.text
    assert "without a text: 63 recording(s)" in caplog.text


def test_the_older_version(tmp_path: pathlib.Path) -> None:
    folder = make_080(tmp_path / "in" / "VCTK-Corpus")
    archive = shutil.make_archive(str(tmp_path / "VCTK-Corpus"), "gztar", folder.parent)
    train = built(tmp_path, pathlib.Path(archive))["train"]
    assert train.names[:2] == ("p225_001", "p225_002")
    np.testing.assert_array_equal(train.recording(1)["audio"], noise(60, 2))
    assert train.recording(1)["text"] == "Sentence 2."
    with pytest.raises(data.DataError, match=r"VCTK-Corpus is version 0\.80 .* one microphone"):
        built(tmp_path / "mic2", folder.parent, microphone="mic2")


def test_silence_is_cut_by_default(tmp_path: pathlib.Path) -> None:
    source = make_080(tmp_path / "in")
    silence = np.array([0, 1] * 24000, np.int16)
    path = source / "wav48" / "p225" / "p225_001.wav"
    write(path, np.concatenate([silence, noise(24000), silence]), 48000)
    data.build("vctk", data_dir=tmp_path / "out", source=source)
    lengths = data.load("vctk", tmp_path / "out", "train").lengths
    assert 24000 <= lengths[0] <= 24000 + 2 * 1200


def test_refusals(tmp_path: pathlib.Path) -> None:
    (tmp_path / "none" / "wavs").mkdir(parents=True)
    with pytest.raises(
        data.DataError, match=r"not laid out as VCTK is: it should hold wav48\*, and holds wavs"
    ):
        built(tmp_path, tmp_path / "none")
    source = make_092(tmp_path / "in", range(1, 3))
    with pytest.raises(data.DataError, match="microphone is 'mic3': there are mic1, mic2"):
        built(tmp_path, source, microphone="mic3")
    folder = source / "wav48_silence_trimmed" / "s5"
    (folder / "s5_001_mic1.flac").rename(folder / "p5_001_mic1.flac")
    with pytest.raises(data.DataError, match=r"p5_001_mic1\.flac is not named s5_\{number\}_\{mic"):
        built(tmp_path, source)
    for path in source.rglob("*_mic1.flac"):
        path.unlink()
    with pytest.raises(data.DataError, match="holds no recordings by mic1"):
        built(tmp_path, source)
    assert not (tmp_path / "out").exists()
