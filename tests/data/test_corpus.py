"""Reading a corpus: any stretch of a recording, pickled or cached, from several threads."""

import functools
import pathlib
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import noise, write

import data


@given(st.data())
def test_any_stretch_of_a_recording(counted: data.Corpus, draw: st.DataObject) -> None:
    """Within a piece and across pieces: the samples count on from one recording to the next."""
    i = draw.draw(st.integers(0, len(counted) - 1))
    length = int(counted.lengths[i])
    start = draw.draw(st.integers(0, length))
    stop = draw.draw(st.integers(start, length))
    first = 1 + int(counted.lengths[:i].sum())
    expected = np.arange(first + start, first + stop)
    np.testing.assert_array_equal(counted.samples(i, start, stop), expected)


def test_a_pickled_corpus_opens_the_files_again(counted: data.Corpus) -> None:
    counted.recording(6)
    pickled = pickle.dumps(counted)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.recording(6)["audio"], counted.recording(6)["audio"])


@pytest.fixture
def small_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> data.Corpus:
    """A corpus whose cache holds 2,000 bytes; a recording decoded takes about 300 of them."""
    for i in range(2):
        write(tmp_path / "in" / f"{i}.wav", noise(40, i))
    data.build("folder", data_dir=tmp_path / "out", source=tmp_path / "in")
    monkeypatch.setattr("data.corpus.CACHE_BYTES", 2200)
    return data.load("folder", tmp_path / "out", "train")


def make(example: dict[str, Any], *, made: list[str], key: str, size: int = 900) -> np.ndarray:
    made.append(key)
    return np.zeros(size, np.uint8)


def test_the_cache_drops_what_was_used_least_recently(small_cache: data.Corpus) -> None:
    made: list[str] = []
    computes = {key: functools.partial(make, made=made, key=key) for key in "abc"}
    for key in "abacab":
        small_cache.computed(0, computes[key])
    assert "".join(made) == "abcb"


def test_a_value_larger_than_the_cache_is_kept_alone(small_cache: data.Corpus) -> None:
    made: list[str] = []
    large = functools.partial(make, made=made, key="large", size=10_000)
    small = functools.partial(make, made=made, key="small")
    for compute in (small, large, large, small):
        small_cache.computed(0, compute)
    assert made == ["small", "large", "small"]


def test_features_may_be_computed_by_threads_that_read_the_corpus(counted: data.Corpus) -> None:
    """Nothing is locked meanwhile; and of several threads that ask, one computes."""
    seen = []

    def compute(example: dict[str, Any]) -> np.ndarray:
        helper = threading.Thread(
            target=lambda: seen.append(counted.recording(1)["audio"]), daemon=True
        )
        helper.start()
        helper.join(10)
        assert not helper.is_alive(), "the helper waits for the thread that waits for it"
        return example["audio"]

    threads = [threading.Thread(target=counted.computed, args=(0, compute)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 1
    np.testing.assert_array_equal(counted.computed(0, compute), counted.recording(0)["audio"])


def test_questions_are_no_label(counted: data.Corpus) -> None:
    assert counted.questions == () and counted.class_names.keys() == {"label"}
