"""Prepared corpora whose files are not what was written: refused in one sentence, by name."""

import contextlib
import pathlib
import random
import shutil

import numpy as np
import pytest

import data


@pytest.fixture
def copied(fsdd_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The shard of the train split in a copy of the corpus."""
    shutil.copytree(fsdd_dir, tmp_path, dirs_exist_ok=True)
    (shard,) = (tmp_path / "fsdd").glob("*/fsdd-train.array_record*")
    return shard


def read(data_dir: pathlib.Path) -> list[np.ndarray]:
    corpus = data.load("fsdd", data_dir, "train")
    return [corpus.recording(i)["audio"] for i in range(len(corpus))]


def test_a_changed_bit_is_found(
    copied: pathlib.Path, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Or it changes nothing, where it is in the padding of the file."""
    whole, draw, messages = copied.read_bytes(), random.Random(0), list[str]()
    expected = read(fsdd_dir)
    for _ in range(30):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        copied.write_bytes(content)
        try:
            samples = read(tmp_path)
        except data.DataError as error:
            messages.append(str(error))
        else:
            for one, other in zip(samples, expected, strict=True):
                np.testing.assert_array_equal(one, other)
    assert messages
    for message in messages:
        assert message.startswith(f"the train split in {copied.parent} is damaged (")
        assert message.endswith("prepare the corpus again, or copy it again")
        assert "\n" not in message


def test_a_cut_or_a_missing_shard(copied: pathlib.Path, tmp_path: pathlib.Path) -> None:
    whole = copied.read_bytes()
    for size in (0, 100, len(whole) // 4):
        copied.write_bytes(whole[:size])
        with pytest.raises(data.DataError, match="the train split in .* is damaged"):
            read(tmp_path)
    copied.unlink()
    with pytest.raises(data.DataError, match="the train split in .* is damaged"):
        read(tmp_path)


@pytest.mark.parametrize("offset", [0.15, 0.3])
def test_training_ends_in_the_sentence(
    offset: float, copied: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Also from the thread that reads in advance."""
    content = bytearray(copied.read_bytes())
    place = int(offset * len(content))
    content[place : place + 64] = bytes(64)
    copied.write_bytes(content)

    def train() -> None:
        corpus = data.load("fsdd", tmp_path, "train")
        windows = data.training_windows(
            corpus, segment_samples=50, context_samples=10, batch_size=4, seed=0
        )
        with contextlib.closing(windows):
            for _ in range(100):
                next(windows)

    with pytest.raises(data.DataError, match="the train split in .* is damaged"):
        train()
