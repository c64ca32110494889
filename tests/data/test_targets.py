"""Targets of a recognizer in windows, and recordings at other speeds."""

import functools
import pickle

import numpy as np
import pytest

import data
from data.datasets.timit import folding
from data.datasets.timit.timit_dataset_builder import PHONES
from data.windows import Shape, Targets, Windows

HOP = 40


def phones_of(example: dict) -> np.ndarray:
    return np.asarray(example["phones"], np.int32)


FRAMES = functools.partial(data.frame_labels, hop_samples=HOP)


@pytest.mark.parametrize("side", [0, 3])
def test_every_frame_is_a_target_once_an_epoch(spoken: data.Corpus, side: int) -> None:
    context, segment = 5 * HOP, 20 * HOP
    targets = Targets(FRAMES, whole=False, context_frames=side)
    windows = Windows(spoken, Shape(segment, context, HOP, 0, side * HOP), targets=targets)
    targets_of = []
    for i in range(len(windows)):
        window = windows[i]
        assert window["samples"].shape == (context + segment + side * HOP,)
        assert window["frames"].shape == (20 + 2 * side,)
        inside = window["frames"][side : 20 + side]
        np.testing.assert_array_equal(window["classes"] >= 0, inside)
        # A frame exists where its first sample does.
        np.testing.assert_array_equal(inside, window["mask"][::HOP])
        targets_of.append(window["classes"][inside])
    every = [FRAMES(spoken.recording(i)) for i in range(len(spoken))]
    np.testing.assert_array_equal(np.concatenate(targets_of), np.concatenate(every))


def test_the_lookahead_is_what_comes_next(spoken: data.Corpus) -> None:
    side, segment = 4, 20 * HOP
    targets = Targets(FRAMES, whole=False, context_frames=side)
    windows = Windows(spoken, Shape(segment, 4 * HOP, HOP, 0, side * HOP), targets=targets)
    one, two = windows[0], windows[1]
    assert spoken.lengths[0] > 2 * segment
    np.testing.assert_array_equal(one["samples"][-side * HOP :], two["samples"][4 * HOP :][:160])
    assert one["samples"][-side * HOP :].any()
    np.testing.assert_array_equal(one["frames"], [False] * side + [True] * (20 + side))
    last = windows[int(-(-spoken.lengths[0] // segment)) - 1]
    assert not last["samples"][-side * HOP :].any() and not last["frames"][-side:].any()


def test_whole_recordings_have_their_phones_in_order(spoken: data.Corpus) -> None:
    segment = int(-(-spoken.lengths.max() // HOP)) * HOP
    targets = Targets(phones_of, whole=True, context_frames=1)
    windows = Windows(spoken, Shape(segment, HOP, HOP, 0, HOP), targets=targets)
    phones = [phones_of(spoken.recording(i)) for i in range(len(spoken))]
    assert len(windows) == len(spoken)
    for i, each in enumerate(phones):
        classes = windows[i]["classes"]
        assert len(classes) == max(map(len, phones))
        np.testing.assert_array_equal(classes[: len(each)], each)
        assert (classes[len(each) :] == -1).all()


def test_refused_windows(spoken: data.Corpus) -> None:
    targets = Targets(phones_of, whole=True, context_frames=0)
    with pytest.raises(data.DataError, match=r"samples, and a window 400: without times of phones"):
        Windows(spoken, Shape(400, 0, HOP), targets=targets)
    long = int(-(-spoken.lengths.max() // 4000)) * 4000
    with pytest.raises(data.DataError, match=r"phones, which need \d+ frames, and \d frames"):
        Windows(spoken, Shape(long, 0, 4000), targets=targets)
    silent = Targets(lambda example: np.zeros(0, np.int32), whole=True, context_frames=0)
    with pytest.raises(data.DataError, match="has 0 phones"):
        Windows(spoken, Shape(long, 0, HOP), targets=silent)
    with pytest.raises(data.DataError, match=r"context_samples is 40: .* at least the 80 of the"):
        data.training_windows(
            spoken,
            segment_samples=400,
            context_samples=40,
            hop_samples=40,
            batch_size=1,
            seed=0,
            targets=Targets(FRAMES, whole=False, context_frames=2),
        )


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_at_another_speed_labels_keep_their_sounds(spoken: data.Corpus, speed: float) -> None:
    played = spoken.at_speed(speed)
    np.testing.assert_array_equal(played.lengths, np.rint(spoken.lengths / speed))
    for i in range(len(spoken)):
        before, after = spoken.recording(i), played.recording(i)
        assert len(after["audio"]) == played.lengths[i]
        np.testing.assert_array_equal(after["audio"][100:200], played.samples(i, 100, 200))
        for key in ("phone_starts", "phone_ends", "word_starts"):
            np.testing.assert_allclose(after[key], before[key] / speed, atol=0.5)
        np.testing.assert_array_equal(after["phones"], before["phones"])
        loudness = [
            [np.sqrt(np.mean(each["audio"][a:b].astype(float) ** 2)) for a, b in spans]
            for each in (before, after)
            for spans in [list(zip(each["phone_starts"], each["phone_ends"], strict=True))]
        ]
        assert np.corrcoef(loudness)[0, 1] > 0.98
        assert len(after["f0_hz"]) == -(-len(after["audio"]) // 40)
        voiced = [np.median(each["f0_hz"][each["f0_hz"] > 0]) for each in (before, after)]
        assert voiced[1] / voiced[0] == pytest.approx(speed, rel=0.02)
    again = pickle.loads(pickle.dumps(played))
    np.testing.assert_array_equal(again.samples(0, 0, 400), played.samples(0, 0, 400))
    np.testing.assert_array_equal(played.at_speed(1).samples(0, 0, 400), spoken.samples(0, 0, 400))
    with pytest.raises(data.DataError, match="speed is 3: it must be from 0.5 to 2"):
        spoken.at_speed(3)


def test_the_phones_of_timit_fold_to_48_and_39() -> None:
    """As Lee and Hon (1989) fold them, spot by spot."""
    assert len(set(folding.TO_48.values())) == 48 and len(set(folding.TO_39.values())) == 39
    assert set(PHONES) - set(folding.TO_48) == {"q"}
    twice = {phone: folding.TO_39[folding.TO_48[phone]] for phone in folding.TO_48}
    together = {
        "aa": "aa ao",
        "ah": "ah ax ax-h",
        "er": "er axr",
        "hh": "hh hv",
        "ih": "ih ix",
        "l": "l el",
        "m": "m em",
        "n": "n en nx",
        "ng": "ng eng",
        "sh": "sh zh",
        "sil": "bcl dcl gcl pcl tcl kcl h# pau epi",
        "uw": "uw ux",
    }
    for name, phones in together.items():
        assert {phone for phone in twice if twice[phone] == name} == set(phones.split())
    alone = set(twice.values()) - set(together)
    assert all(twice[phone] == phone for phone in alone) and len(alone) == 27
