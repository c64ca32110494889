"""Windows: every sample scored once an epoch, with real context, in a reproducible order."""

import functools
import itertools
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import noise, write

import data
from data.windows import Shape, Windows


def frames_of(example: dict[str, Any], *, hop_samples: int) -> np.ndarray:
    """First sample of each frame, and a constant that padding cannot be taken for."""
    first = example["audio"][::hop_samples].astype(np.float32)
    return np.stack([first, np.ones_like(first)], axis=1)


def frame_numbers(example: dict[str, Any], *, hop_samples: int) -> np.ndarray:
    return np.arange(-(-len(example["audio"]) // hop_samples), dtype=np.int32)


def take(count: int, corpus: data.Corpus, **kwargs: Any) -> list[dict[str, np.ndarray]]:
    iterator = data.training_windows(corpus, **kwargs)
    batches = list(itertools.islice(iterator, count))
    iterator.close()
    return batches


def same(first: list[dict[str, np.ndarray]], second: list[dict[str, np.ndarray]]) -> bool:
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True)
    )


shapes = st.tuples(st.integers(1, 9), st.integers(1, 90), st.integers(0, 120)).map(
    lambda drawn: Shape(drawn[0] * drawn[1], drawn[0] * drawn[2], drawn[0])
)


@settings(max_examples=25, deadline=None)
@given(shapes)
def test_an_epoch_scores_every_sample_once_with_its_own_past(
    counted: data.Corpus, shape: Shape
) -> None:
    """The corpus counts 1, 2, 3, ... through all recordings, so a window can be read off."""
    features = functools.partial(frames_of, hop_samples=shape.hop_samples)
    windows = Windows(counted, shape, global_labels=["label"], local_features=features)
    recording_ends = np.cumsum(counted.lengths)
    scored = []
    for i in range(len(windows)):
        window = windows[i]
        segment = window["samples"][shape.context_samples :]
        scored.append(segment[window["mask"]])
        assert (segment[~window["mask"]] == 0).all()
        first = int(segment[0])
        recording = int(np.searchsorted(recording_ends, first))
        begin = int(recording_ends[recording - 1]) + 1 if recording else 1
        past = np.arange(first - shape.context_samples, first)
        expected = np.where(past >= begin, past, 0)
        np.testing.assert_array_equal(window["samples"][: shape.context_samples], expected)
        assert counted.class_names["label"][window["global"]] == counted.names[recording][0]
        heads = window["samples"][:: shape.hop_samples]
        np.testing.assert_array_equal(window["local"][:, 0], heads)
        np.testing.assert_array_equal(window["local"][:, 1], heads > 0)
    np.testing.assert_array_equal(np.concatenate(scored), np.arange(1, recording_ends[-1] + 1))


@pytest.mark.parametrize("context", [1, 3])
def test_context_frames_are_the_frames_around_a_window(counted: data.Corpus, context: int) -> None:
    """The recording's own where it has them, zeros beyond its ends."""
    shape = Shape(40, 20, 10)
    features = functools.partial(frames_of, hop_samples=10)
    windows = Windows(counted, shape, local_features=features)
    wider = Windows(counted, shape._replace(context_frames=context), local_features=features)
    inner = 0
    for i in range(len(windows)):
        narrow, wide = windows[i]["local"], wider[i]["local"]
        np.testing.assert_array_equal(wide[context:-context], narrow)
        recording = int(np.searchsorted(windows._ends, i, side="right"))
        nth = i - (int(windows._ends[recording - 1]) if recording else 0)
        whole = features(counted.recording(recording))
        for side in (-context, len(narrow) + context - 1):
            frame = (nth * 40 - 20) // 10 + side
            there = 0 <= frame < len(whole)
            wanted = whole[frame] if there else np.zeros_like(whole[0])
            np.testing.assert_array_equal(wide[side + context], wanted)
            inner += there
    assert inner > 5


@pytest.mark.parametrize("lookahead", [10, 70])
def test_a_lookahead_is_the_sound_after_a_window_and_says_which_frames_exist(
    counted: data.Corpus, lookahead: int
) -> None:
    """The recording's own samples where it has them, zeros beyond its end, and frames likewise."""
    plain = Windows(counted, Shape(40, 20, 10))
    ahead = Windows(counted, Shape(40, 20, 10, lookahead_samples=lookahead))
    ends = np.cumsum(counted.lengths)
    for i in range(len(plain)):
        short, window = plain[i], ahead[i]
        assert "frames" not in short
        np.testing.assert_array_equal(window["samples"][:60], short["samples"])
        np.testing.assert_array_equal(window["mask"], short["mask"])
        first = int(window["samples"][20])
        recording = int(np.searchsorted(ends, first))
        begin = int(ends[recording - 1]) + 1 if recording else 1
        counts = np.arange(first + 40, first + 40 + lookahead)
        inside = np.where(counts <= ends[recording], counts, 0)
        np.testing.assert_array_equal(window["samples"][60:], inside)
        heads = first - 20 + 10 * np.arange((60 + lookahead) // 10)
        exists = (heads >= begin) & (heads <= ends[recording])
        np.testing.assert_array_equal(window["frames"], exists)


def test_several_labels_are_one_multi_hot_vector(fsdd_dir) -> None:
    corpus = data.load("fsdd", fsdd_dir, "train")
    for recording in data.recordings(corpus, global_labels=["speaker", "digit"]):
        digit, speaker = recording["recording"].split("_")[:2]
        classes = [*corpus.class_names["speaker"], *corpus.class_names["digit"]]
        assert recording["global"].dtype == np.int32
        assert recording["global"].sum() == 2
        assert {classes[i] for i in np.flatnonzero(recording["global"])} == {digit, speaker}


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_shards_share_each_epoch_and_epochs_differ(
    counted: data.Corpus, shards: int, batch: int, seed: int
) -> None:
    """Step by step, the shards' batches together are the batch of a single process."""
    settings_of = {"segment_samples": 100, "context_samples": 30, "seed": seed}
    windows = len(Windows(counted, Shape(100, 30, 1)))
    steps = -(-3 * windows // (shards * batch))
    one = take(steps, counted, batch_size=shards * batch, **settings_of)
    parts = [
        take(steps, counted, batch_size=batch, shard_index=i, shard_count=shards, **settings_of)
        for i in range(shards)
    ]
    firsts = np.concatenate([b["samples"][:, 30] for b in one])
    for step in range(steps):
        together = np.concatenate([part[step]["samples"][:, 30] for part in parts])
        assert sorted(together) == sorted(one[step]["samples"][:, 30])
    epochs = firsts[: 3 * windows].reshape(3, windows)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.sort(epochs[0]))
        assert len(set(epoch)) == windows
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.fixture
def arguments() -> dict[str, Any]:
    return {
        "segment_samples": 60,
        "context_samples": 40,
        "hop_samples": 20,
        "batch_size": 4,
        "global_labels": ["label"],
        "local_features": functools.partial(frame_numbers, hop_samples=20),
    }


def test_the_seed_decides(counted: data.Corpus, arguments: dict[str, Any]) -> None:
    first = take(5, counted, seed=3, **arguments)
    assert same(first, take(5, counted, seed=3, **arguments))
    assert not same(first, take(5, counted, seed=4, **arguments))


def test_shapes_and_types(counted: data.Corpus, arguments: dict[str, Any]) -> None:
    for batch in take(40, counted, seed=0, **arguments):
        described = {key: (value.shape, value.dtype.name) for key, value in batch.items()}
        assert described == {
            "samples": ((4, 100), "int16"),
            "mask": ((4, 60), "bool"),
            "global": ((4,), "int32"),
            "local": ((4, 5), "int32"),
        }
        # Frames that do not exist are -1: none exists where all its samples are padding.
        exists = (batch["samples"].reshape(4, 5, 20) > 0).any(axis=2)
        np.testing.assert_array_equal(batch["local"] >= 0, exists)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 40))
def test_a_restored_position_continues_exactly(counted: data.Corpus, done: int) -> None:
    kwargs: dict[str, Any] = {
        "segment_samples": 50,
        "context_samples": 7,
        "batch_size": 3,
        "seed": 5,
    }
    iterator = data.training_windows(counted, **kwargs)
    for _ in range(done):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    rest = list(itertools.islice(iterator, 4))
    iterator.set_state(state)
    assert same(rest, list(itertools.islice(iterator, 4)))
    iterator.close()
    another = data.training_windows(counted, **kwargs)
    another.set_state(state)
    assert same(rest, list(itertools.islice(another, 4)))
    another.close()


@pytest.fixture
def parsed_flags() -> Iterator[None]:
    """As absl's programs have them."""
    was_parsed = flags.FLAGS.is_parsed()
    flags.FLAGS.mark_as_parsed()
    yield
    if not was_parsed:
        flags.FLAGS.unparse_flags()


@pytest.mark.usefixtures("parsed_flags")
def test_workers_change_nothing(counted: data.Corpus, arguments: dict[str, Any]) -> None:
    """The same batches in the same order, and a position that either can take up."""
    alone = take(12, counted, seed=1, **arguments)
    iterator = data.training_windows(counted, seed=1, num_workers=2, **arguments)
    assert same(alone[:5], list(itertools.islice(iterator, 5)))
    state = iterator.get_state()
    assert same(alone[5:8], list(itertools.islice(iterator, 3)))
    assert iterator.stage_s["local_features"] > 0  # as the workers have timed it
    iterator.set_state(state)
    assert same(alone[5:12], list(itertools.islice(iterator, 7)))
    iterator.close()
    single = data.training_windows(counted, seed=1, **arguments)
    single.set_state(state)
    assert same(alone[5:12], list(itertools.islice(single, 7)))
    single.close()


def slow_frames(example: dict[str, Any], *, hop_samples: int) -> np.ndarray:
    time.sleep(0.02)
    return frames_of(example, hop_samples=hop_samples)


@pytest.mark.parametrize("slow", ["reading", "local_features", "augmentation"])
def test_stages_are_timed(
    slow: str, counted: data.Corpus, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage within another is counted once: features are computed from records that are read."""
    corpus, options = counted.some(len(counted)), dict(arguments)  # with an empty cache
    if slow == "reading":
        records = corpus._pieces
        delayed = mock.MagicMock(__getitem__=lambda _, i: time.sleep(0.02) or records[i])
        monkeypatch.setattr(corpus, "_pieces", delayed)
    elif slow == "local_features":
        options["local_features"] = functools.partial(slow_frames, hop_samples=20)
    else:
        options["local_features"] = None
        options["augmentation"] = lambda sound, random: time.sleep(0.02) or sound
    iterator = data.training_windows(corpus, seed=0, **options)
    for _ in range(3):
        assert "stage_s" not in next(iterator)
    iterator.close()
    assert iterator.stage_s[slow] > 0.02
    others = [seconds for name, seconds in iterator.stage_s.items() if name != slow]
    assert sum(others) < iterator.stage_s[slow]
    assert min(iterator.stage_s.values()) >= 0


def test_workers_outside_absl(
    counted: data.Corpus, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags stay as the user left them."""
    monkeypatch.setattr(type(flags.FLAGS), "is_parsed", lambda self: False)
    message = "num_workers is 2, and grain's workers need absl's flags .* use num_workers=0"
    with pytest.raises(data.DataError, match=message):
        data.training_windows(counted, seed=0, num_workers=2, **arguments)
    take(1, counted, seed=0, **arguments)


def test_a_position_over_other_windows_is_refused(counted: data.Corpus) -> None:
    def windows(**other: int) -> data.WindowIterator:
        kwargs: dict[str, Any] = {
            "segment_samples": 50,
            "context_samples": 7,
            "batch_size": 3,
            "seed": 5,
        }
        return data.training_windows(counted, **(kwargs | other))

    state = windows().get_state()
    for other in ({"seed": 6}, {"segment_samples": 51}, {"batch_size": 4}):
        with pytest.raises(data.DataError, match="the data position was saved with"):
            windows(**other).set_state(state)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"segment_samples": 0}, "segment_samples is 0: it must be at least 1"),
        ({"segment_samples": 50}, "segment_samples is 50: it must be a multiple of hop_samples=20"),
        ({"context_samples": -20}, "context_samples is -20"),
        ({"context_samples": 41}, "context_samples is 41: it must be a multiple"),
        ({"hop_samples": 0}, "hop_samples is 0"),
        ({"lookahead_samples": 7}, "lookahead_samples is 7: it must be a multiple of hop_samples"),
        (
            {"lookahead_samples": 20, "targets": data.Targets(frame_numbers, False, 1)},
            "lookahead_samples is 20 beside targets",
        ),
        ({"hop_samples": 30}, "context_samples is 40: it must be a multiple of hop_samples=30"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296: it must be below"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"shard_count": 0}, "shard_count is 0"),
        ({"shard_index": 2, "shard_count": 2}, "shard_index is 2: it must be below shard_count=2"),
        ({"global_labels": ["speaker"]}, "no label 'speaker': it has label"),
    ],
)
def test_refusals(
    counted: data.Corpus, arguments: dict[str, Any], changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(data.DataError, match=reason):
        data.training_windows(counted, **({"seed": 0} | arguments | changed))


def test_recordings_shorter_than_a_window_and_than_a_frame(tmp_path: pathlib.Path) -> None:
    for i in range(4):
        write(tmp_path / "in" / f"{i}.wav", noise(30, i))
    data.build("folder", data_dir=tmp_path / "out", source=tmp_path / "in")
    corpus = data.load("folder", tmp_path / "out", "train")
    common: dict[str, Any] = {"context_samples": 0, "batch_size": 8, "seed": 0}
    (batch,) = take(1, corpus, segment_samples=100, **common)
    assert batch["mask"].sum(axis=1).tolist() == [30] * 8
    with pytest.raises(data.DataError, match="shorter than the 50 samples of a frame"):
        data.training_windows(corpus, segment_samples=100, hop_samples=50, **common)


def test_features_of_another_hop_are_refused(counted: data.Corpus) -> None:
    features = functools.partial(frames_of, hop_samples=10)
    windows = Windows(counted, Shape(40, 0, 20), local_features=features)
    with pytest.raises(data.DataError, match="gives 4 frames for .*, which has 2 of 20 samples"):
        windows[2]


def test_whole_recordings(counted: data.Corpus) -> None:
    features = functools.partial(frames_of, hop_samples=20)
    whole = list(
        data.recordings(counted, global_labels=["label"], local_features=features, hop_samples=20)
    )
    assert [example["recording"] for example in whole] == list(counted.names)
    joined = np.concatenate([example["samples"] for example in whole])
    np.testing.assert_array_equal(joined, np.arange(1, len(joined) + 1))
    for example in whole:
        np.testing.assert_array_equal(example["local"][:, 0], example["samples"][::20])
        assert counted.class_names["label"][example["global"]] == example["recording"][0]


def test_whole_recordings_are_read_as_they_are_asked_for(
    counted: data.Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    samples = counted.samples

    def noted(recording: int, start: int, stop: int) -> np.ndarray:
        asked.append(recording)
        return samples(recording, start, stop)

    monkeypatch.setattr(counted, "samples", noted)
    next(data.recordings(counted))
    assert asked == [0]
