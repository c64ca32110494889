"""LibriSpeech: utterances by its transcripts, splits by its subsets or, of one kind, by hash."""

import pathlib
import shutil

import numpy as np
import pytest
from synthetic import noise, write

import data


def make(root: pathlib.Path, *subsets: str, count: int = 3) -> pathlib.Path:
    """As `train-clean-100.tar.gz` and its like unpack, with their documents."""
    for i, subset in enumerate(subsets):
        speaker, chapter = 1034 - 100 * i, 121117 + i
        folder = root / "LibriSpeech" / subset / str(speaker) / str(chapter)
        names = [f"{speaker}-{chapter}-{j:04}" for j in range(count)]
        for j, name in enumerate(names):
            write(folder / f"{name}.flac", noise(80, 100 * i + j), 16000)
        lines = [f"{name} UTTERANCE {j} IT'S READ" for j, name in enumerate(names)]
        (folder / f"{speaker}-{chapter}.trans.txt").write_text("\n".join(lines) + "\n")
    (root / "LibriSpeech" / "SPEAKERS.TXT").write_text(";ID |SEX| SUBSET |MINUTES| NAME\n")
    return root


def test_subsets_are_splits(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in", "train-clean-100", "dev-clean", "test-other", "train-other-500")
    archive = shutil.make_archive(str(tmp_path / "train-clean-100"), "gztar", source)
    for out, given in (("folder", source / "LibriSpeech"), ("archive", pathlib.Path(archive))):
        data.build("librispeech", data_dir=tmp_path / out, source=given)
        train, held_out, test = (
            data.load("librispeech", tmp_path / out, split)
            for split in ("train", "validation", "test")
        )
        assert held_out.names == tuple(f"934-121118-000{j}" for j in range(3))
        assert test.names == tuple(f"834-121119-000{j}" for j in range(3))
        assert len(train) == 6
        assert train.class_names["speaker"] == ("734", "834", "934", "1034")
        example = train.recording(5)
        assert example["recording"] == "734-121120-0002"
        assert train.class_names["speaker"][example["speaker"]] == "734"
        assert train.class_names["subset"][example["subset"]] == "train-other-500"
        assert example["chapter"] == 121120
        assert example["text"] == "UTTERANCE 2 IT'S READ"
        np.testing.assert_array_equal(example["audio"], noise(80, 302))


def test_one_kind_is_split_by_hash(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in", "dev-clean", "dev-other", count=30)
    data.build("librispeech", data_dir=tmp_path / "out", source=source)
    parts = {
        split: data.load("librispeech", tmp_path / "out", split).names
        for split in ("train", "validation", "test")
    }
    assert sum(len(names) for names in parts.values()) == 60
    assert len(parts["train"]) > 40
    # As it was when this was written: a split is never to move.
    assert parts["validation"] == ("1034-121117-0017",)
    assert set(parts["validation"]).isdisjoint(parts["train"] + parts["test"])


def test_two_kinds_need_no_third(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in", "train-clean-100", "dev-clean")
    data.build("librispeech", data_dir=tmp_path / "out", source=source)
    assert len(data.load("librispeech", tmp_path / "out", "train")) == 3
    with pytest.raises(data.DataError, match="no split 'test'"):
        data.load("librispeech", tmp_path / "out", "test")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1034-121117-0000\n", r"line 1 of .*121117\.trans\.txt is '1034-121117-0000': it must be"),
        ("\n1034-9-0000 A\n", r"line 2 of .* must be 1034-121117-\{number\} and a transcript"),
        ("1034-121117-0009 A\n", r"0009\.flac is missing, and line 1 of 1034-121117\.trans\.txt"),
        ("", r"LibriSpeech has no transcripts in train-\*"),
    ],
)
def test_refused_transcripts(tmp_path: pathlib.Path, lines: str, message: str) -> None:
    source = make(tmp_path / "in", "train-clean-100")
    next(source.rglob("*.trans.txt")).write_text(lines)
    with pytest.raises(data.DataError, match=message):
        data.build("librispeech", data_dir=tmp_path / "out", source=source)
    assert not (tmp_path / "out").exists()


def test_another_layout(tmp_path: pathlib.Path) -> None:
    (tmp_path / "in" / "wavs").mkdir(parents=True)
    with pytest.raises(
        data.DataError, match=r"as LibriSpeech is: it should hold .*trans\.txt, and holds wavs"
    ):
        data.build("librispeech", data_dir=tmp_path / "out", source=tmp_path / "in")
