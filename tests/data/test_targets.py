"""What windows tell a recognizer, and recordings at other speeds, in noise, louder."""

import functools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from data.augmentation import Augmentation
from data.datasets.timit import folding
from data.datasets.timit.timit_dataset_builder import PHONES
from data.windows import Shape, Targets, Windows

HOP = 40


def phones_of(example: dict) -> np.ndarray:
    return np.asarray(example["phones"], np.int32)


FRAMES = functools.partial(data.frame_labels, hop_samples=HOP)


@pytest.mark.parametrize("reach", [0, 3])
def test_every_frame_is_told_once_an_epoch(spoken: data.Corpus, reach: int) -> None:
    context, segment = 5 * HOP, 20 * HOP
    targets = Targets(FRAMES, whole=False, context_frames=reach)
    windows = Windows(spoken, Shape(segment, context, HOP, 0, reach * HOP), targets=targets)
    told = []
    for i in range(len(windows)):
        window = windows[i]
        assert window["samples"].shape == (context + segment + reach * HOP,)
        assert window["frames"].shape == (20 + 2 * reach,)
        inside = window["frames"][reach : 20 + reach]
        np.testing.assert_array_equal(window["classes"] >= 0, inside)
        # A frame is there where the first of its samples is.
        np.testing.assert_array_equal(inside, window["mask"][::HOP])
        told.append(window["classes"][inside])
    every = [FRAMES(spoken.recording(i)) for i in range(len(spoken))]
    np.testing.assert_array_equal(np.concatenate(told), np.concatenate(every))


def test_the_lookahead_is_what_comes_next(spoken: data.Corpus) -> None:
    reach, segment = 4, 20 * HOP
    targets = Targets(FRAMES, whole=False, context_frames=reach)
    windows = Windows(spoken, Shape(segment, 4 * HOP, HOP, 0, reach * HOP), targets=targets)
    one, two = windows[0], windows[1]
    assert spoken.lengths[0] > 2 * segment
    np.testing.assert_array_equal(one["samples"][-reach * HOP :], two["samples"][4 * HOP :][:160])
    assert one["samples"][-reach * HOP :].any()
    np.testing.assert_array_equal(one["frames"], [False] * reach + [True] * (20 + reach))
    last = windows[int(-(-spoken.lengths[0] // segment)) - 1]
    assert not last["samples"][-reach * HOP :].any() and not last["frames"][-reach:].any()


def test_whole_recordings_are_told_what_is_said(spoken: data.Corpus) -> None:
    segment = int(-(-spoken.lengths.max() // HOP)) * HOP
    targets = Targets(phones_of, whole=True, context_frames=1)
    windows = Windows(spoken, Shape(segment, HOP, HOP, 0, HOP), targets=targets)
    said = [phones_of(spoken.recording(i)) for i in range(len(spoken))]
    assert len(windows) == len(spoken)
    for i, each in enumerate(said):
        classes = windows[i]["classes"]
        assert len(classes) == max(map(len, said))
        np.testing.assert_array_equal(classes[: len(each)], each)
        assert (classes[len(each) :] == -1).all()


def test_refused_windows(spoken: data.Corpus) -> None:
    targets = Targets(phones_of, whole=True, context_frames=0)
    with pytest.raises(data.DataError, match=r"samples, and a window 400: where it is not known"):
        Windows(spoken, Shape(400, 0, HOP), targets=targets)
    long = int(-(-spoken.lengths.max() // 4000)) * 4000
    with pytest.raises(data.DataError, match=r"phones, which need \d+ frames, and \d frames"):
        Windows(spoken, Shape(long, 0, 4000), targets=targets)
    silent = Targets(lambda example: np.zeros(0, np.int32), whole=True, context_frames=0)
    with pytest.raises(data.DataError, match="has 0 phones"):
        Windows(spoken, Shape(long, 0, HOP), targets=silent)
    with pytest.raises(data.DataError, match=r"context_samples is 40: .* at least the 80 that"):
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


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 12), st.none() | st.floats(0, 30))
def test_distorted_within_what_was_asked(seed: int, gain_db: float, snr_db: float | None) -> None:
    random = np.random.default_rng(seed)
    samples = np.pad(random.normal(0, 2000, 900), (50, 50)).astype(np.int16)
    samples[50] = samples[949] = 7
    window = {"samples": samples, "classes": np.arange(3)}
    found = Augmentation(gain_db, snr_db)(window, np.random.default_rng(seed))
    assert found["classes"] is window["classes"] and window["samples"] is samples
    heard = found["samples"].astype(float)
    assert not heard[:50].any() and not heard[950:].any()
    gain = heard @ samples.astype(float) / (samples.astype(float) @ samples)
    noise = heard - gain * samples
    found_snr_db = 20 * np.log10(gain * samples.std() / max(noise.std(), 1e-9))
    if snr_db is None:
        assert found_snr_db > 40
        assert abs(20 * np.log10(gain)) < gain_db + 0.1
    else:
        assert found_snr_db > snr_db - 1.5
        assert abs(20 * np.log10(gain)) < gain_db + 3


def test_distortion_of_windows_depends_on_seed_and_place(spoken: data.Corpus) -> None:
    def batches(**options) -> list[np.ndarray]:
        shape = {"segment_samples": 800, "context_samples": 0, "batch_size": 4}
        iterator = data.training_windows(spoken, **shape, **options)
        found = [next(iterator)["samples"] for _ in range(3)]
        iterator.close()
        return found

    noisy = {"distort": Augmentation(6.0, 10.0), "speeds": (0.9, 1.0, 1.1)}
    one, same, other = (batches(seed=seed, **noisy) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    plain = batches(seed=1, speeds=(0.9, 1.0, 1.1))
    assert all((a != b).mean() > 0.2 for a, b in zip(one, plain, strict=True))
    # Spread over two processes the stream is the same.
    parts = [batches(seed=1, shard_index=i, shard_count=2, **noisy) for i in range(2)]
    spread = [np.stack([a, b], axis=1).reshape(8, -1) for a, b in zip(*parts, strict=True)]
    np.testing.assert_array_equal(np.concatenate(spread)[:12], np.concatenate(one))


def test_what_is_silent_stays_silent() -> None:
    window = {"samples": np.zeros(100, np.int16)}
    assert Augmentation(6.0, 10.0)(window, np.random.default_rng(0)) is window
    with pytest.raises(data.DataError, match="gain_db is -1"):
        Augmentation(-1)


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
