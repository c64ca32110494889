"""The Free Spoken Digit Dataset: labels from names, splits by index."""

import pathlib

import numpy as np
import pytest
import soundfile
from synthetic import noise, write

import data


def make(root: pathlib.Path, indices: range) -> pathlib.Path:
    for speaker in ("theo", "lucas"):
        for digit in (0, 7):
            for index in indices:
                name = f"{digit}_{speaker}_{index}.wav"
                write(root / "recordings" / name, noise(50, digit + 10 * index))
    return root


def indices(tmp_path: pathlib.Path, split: str) -> set[int]:
    corpus = data.load("fsdd", tmp_path / "out", split)
    return {corpus.recording(i)["index"] for i in range(len(corpus))}


def test_the_official_split(tmp_path: pathlib.Path) -> None:
    data.build("fsdd", data_dir=tmp_path / "out", source=make(tmp_path / "in", range(13)))
    assert indices(tmp_path, "test") == {0, 1, 2, 3, 4}
    assert indices(tmp_path, "validation") == {5, 6, 7, 8, 9}
    assert indices(tmp_path, "train") == {10, 11, 12}
    corpus = data.load("fsdd", tmp_path / "out", "train")
    assert corpus.class_names["speaker"] == ("lucas", "theo")
    for i, name in enumerate(corpus.names):
        digit, speaker, index = name.removesuffix(".wav").split("_")
        assert corpus.class_names["digit"][corpus.label(i, "digit")] == digit
        assert corpus.class_names["speaker"][corpus.label(i, "speaker")] == speaker
        expected = noise(50, int(digit) + 10 * int(index))
        np.testing.assert_array_equal(corpus.recording(i)["audio"], expected)


def test_without_the_test_set(tmp_path: pathlib.Path) -> None:
    data.build("fsdd", data_dir=tmp_path / "out", source=make(tmp_path / "in", range(5, 12)))
    assert indices(tmp_path, "validation") == {5, 6, 7, 8, 9}
    assert indices(tmp_path, "train") == {10, 11}
    with pytest.raises(data.DataError, match="no split 'test'"):
        data.load("fsdd", tmp_path / "out", "test")


def test_refusals(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in", range(5, 12))
    stray = write(source / "recordings" / "seven.wav", noise(50))
    with pytest.raises(data.DataError, match=r"seven\.wav is not named"):
        data.build("fsdd", data_dir=tmp_path / "out", source=source)
    stray.rename(source / "recordings" / "1_theo_99.wav")
    write(source / "recordings" / "1_theo_98.wav", noise(50), 16000)
    with pytest.raises(
        data.DataError, match=r"98\.wav has 16000 Hz but|but .*98\.wav has 16000 Hz"
    ):
        data.build("fsdd", data_dir=tmp_path / "out", source=source)
    (tmp_path / "none" / "nothing").mkdir(parents=True)
    with pytest.raises(data.DataError, match=r"should hold recordings/\*\.wav, and holds no"):
        data.build("fsdd", data_dir=tmp_path / "out", source=tmp_path / "none")
    few = make(tmp_path / "few", range(5, 10))
    with pytest.raises(data.DataError, match="no recordings for its train split"):
        data.build("fsdd", data_dir=tmp_path / "out", source=few)


def test_the_real_corpus(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    data.build("fsdd", data_dir=tmp_path / "out", source=shared / "fsdd")
    train, held_out = (data.load("fsdd", tmp_path / "out", s) for s in ("train", "validation"))
    assert (len(train), len(held_out)) == (2400, 300)
    assert len(train.class_names["speaker"]) == 6
    for i in (0, 1234, 2399):
        path = shared / "fsdd" / "recordings" / train.names[i]
        expected = soundfile.read(path, dtype="int16")[0]
        np.testing.assert_array_equal(train.recording(i)["audio"], expected)
