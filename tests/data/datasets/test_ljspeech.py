"""The LJ Speech Dataset: clips and texts from metadata.csv, splits in the order of the ids."""

import pathlib

import numpy as np
import pytest
import soundfile
from synthetic import noise, write

import data


def make(root: pathlib.Path, count: int) -> pathlib.Path:
    """Clips of 300 samples at 8 kHz, listed backwards."""
    for i in range(count):
        write(root / "wavs" / f"LJ-{i:03}.wav", noise(300, i))
    lines = [f'LJ-{i:03}|"the {i}|number {i}' for i in reversed(range(count))]
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


def test_splits_and_texts(tmp_path: pathlib.Path) -> None:
    data.build("ljspeech", data_dir=tmp_path / "out", source=make(tmp_path / "in", 7))
    train, held_out = (data.load("ljspeech", tmp_path / "out", s) for s in ("train", "validation"))
    assert train.names == ("LJ-000", "LJ-001", "LJ-002")
    assert held_out.names == ("LJ-003", "LJ-004", "LJ-005", "LJ-006")
    assert train.sample_rate_hz == 8000
    for corpus in (train, held_out):
        for i, name in enumerate(corpus.names):
            example = corpus.recording(i)
            assert example["text"] == f"number {int(name[3:])}"
            np.testing.assert_array_equal(example["audio"], noise(300, int(name[3:])))
    with pytest.raises(data.DataError, match="no split 'test'"):
        data.load("ljspeech", tmp_path / "out", "test")


def test_one_percent_is_held_out_where_that_is_more(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in", 1)
    for i in range(1, 500):
        (source / "wavs" / f"LJ-{i:03}.wav").symlink_to(source / "wavs" / "LJ-000.wav")
    (source / "metadata.csv").write_text("\n".join(f"LJ-{i:03}|a|b" for i in range(500)))
    data.build("ljspeech", data_dir=tmp_path / "out", source=source)
    held_out = data.load("ljspeech", tmp_path / "out", "validation")
    assert held_out.names == tuple(f"LJ-{i:03}" for i in range(495, 500))


def test_a_text_without_its_normalised_form(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in", 5)
    metadata = source / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("|number 0", "|").replace("|number 1", ""))
    data.build("ljspeech", data_dir=tmp_path / "out", source=source)
    held_out = data.load("ljspeech", tmp_path / "out", "validation")
    train = data.load("ljspeech", tmp_path / "out", "train")
    assert train.recording(0)["text"] == '"the 0'
    assert held_out.recording(0)["text"] == '"the 1'
    assert held_out.recording(1)["text"] == "number 2"


def test_another_rate(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in", 5)
    write(source / "wavs" / "LJ-003.wav", noise(300), 16000)
    with pytest.raises(data.DataError, match=r"8000 Hz but .*LJ-003\.wav has 16000 Hz"):
        data.build("ljspeech", data_dir=tmp_path / "out", source=source)
    data.build("ljspeech", data_dir=tmp_path / "out", source=source, sample_rate_hz=4000)
    held_out = data.load("ljspeech", tmp_path / "out", "validation")
    assert held_out.sample_rate_hz == 4000
    assert held_out.lengths.tolist() == [150, 150, 75, 150]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, r"not laid out as LJ Speech is: it should hold metadata\.csv, and holds wavs"),
        (b"", "names no recordings"),
        (b"LJ-000|a|a\nLJ-001\n", "line 2 of .* is 'LJ-001'"),
        (b"LJ-000|a|a\n\nLJ-001|b|b\n", "line 2 of .* is ''"),
        (b"LJ-000|a|a\nLJ-000|b|b\n", "names LJ-000 twice, again in line 2"),
        (b"LJ-000|caf\xe9|\n", "is not UTF-8"),
        (b"LJ-000|a|a\nLJ-999|b|b\n", r"LJ-999\.wav is missing, and metadata\.csv names it"),
        (b"LJ-000|a|a\n", "no recordings for its train split"),
    ],
)
def test_refusals(tmp_path: pathlib.Path, metadata: bytes | None, message: str) -> None:
    source = make(tmp_path / "in", 2)
    (source / "metadata.csv").unlink()
    if metadata is not None:
        (source / "metadata.csv").write_bytes(metadata)
    with pytest.raises(data.DataError, match=message):
        data.build("ljspeech", data_dir=tmp_path / "out", source=source)
    assert not (tmp_path / "out").exists()


def test_the_real_corpus(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    data.build("ljspeech", data_dir=tmp_path / "out", source=shared / "ljspeech")
    train, held_out = (data.load("ljspeech", tmp_path / "out", s) for s in ("train", "validation"))
    assert len(train) == 20
    assert held_out.names == tuple(f"LJ001-00{i}" for i in (21, 22, 23, 24))
    assert train.sample_rate_hz == 22050
    assert train.recording(1)["text"] == "in being comparatively modern."
    expected, _ = soundfile.read(shared / "ljspeech" / "wavs" / "LJ001-0002.wav", dtype="int16")
    np.testing.assert_array_equal(train.recording(1)["audio"], expected)
