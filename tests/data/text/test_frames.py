"""Features in time: each frame has those at its middle."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from data.text.frames import NUM_PITCH, PITCH_PEAKS

EXAMPLE = {
    "audio": np.zeros(1000, np.int16),
    "phones": np.array([2, 0, 1]),
    "phone_starts": np.array([0, 400, 480]),
    "phone_ends": np.array([400, 480, 1000]),
    "f0_hz": np.r_[np.full(10, 150.0), np.zeros(2), np.full(13, 300.0)].astype(np.float32),
}


def test_a_name_is_that_of_its_column() -> None:
    features = data.phone_features(EXAMPLE, hop_samples=100, num_phones=3, sample_rate_hz=8000)
    names = data.phone_feature_names("abc")
    assert len(set(names)) == len(names) == features.shape[1]
    column = dict(zip(names, features.T, strict=True))
    assert column["phone: a"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert column["phone -1: c"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert column["phone +1: b"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert column["end of the phone"][4] == 0.25
    assert column["voiced"].tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    assert column["F0 151 Hz"][0] > 0.9


def test_by_hand() -> None:
    """Frames of 100 samples, at 8 kHz: two and a half frames of F0 in each."""
    features = data.phone_features(EXAMPLE, hop_samples=100, num_phones=3, sample_rate_hz=8000)
    assert features.shape == (10, len(data.phone_feature_names("abc"))) == (10, 13 + NUM_PITCH)
    assert features.dtype == np.float32
    phone, before, after = (features[:, i : i + 3] for i in (0, 3, 6))
    assert phone.argmax(axis=1).tolist() == [2, 2, 2, 2, 0, 1, 1, 1, 1, 1]
    assert before[0].tolist() == [0, 0, 0]
    assert before[4].tolist() == [0, 0, 1]
    assert after[4].tolist() == [0, 1, 0]
    assert after[9].tolist() == [0, 0, 0]
    # Middle sample 50 of a phone of 400: an eighth of the way.
    np.testing.assert_allclose(features[0, 9:13], [0.75, 0.25, 0, 0.5], atol=1e-6)
    # Middle sample 450, of the phone from 400 to 480: five eighths, unvoiced.
    np.testing.assert_allclose(features[4, 9:13], [0, 0.75, 0.25, 0.1], atol=1e-6)
    np.testing.assert_array_equal(features[4, 13:], 0)
    # 300 Hz is 27.86 semitones above 60 Hz: between those of 26 and of 28.
    expected = np.zeros(NUM_PITCH)
    expected[[13, 14, -1]] = 0.068432, 0.931568, 1
    np.testing.assert_allclose(features[9, 13:], expected, atol=1e-5)


def test_each_pitch_has_features_of_its_own() -> None:
    heights = np.log(np.geomspace(60, 400, 500) / 150)
    features = data.pitch_features(np.stack([heights, np.ones(500)], axis=1))
    assert features.shape == (500, NUM_PITCH)
    np.testing.assert_allclose(features[:, :-1].sum(axis=1), 1, atol=1e-5)
    assert ((features[:, :-1] > 1e-4).sum(axis=1) <= 2).all()
    np.testing.assert_allclose(features[:, :-1] @ PITCH_PEAKS, heights, atol=1e-5)
    silent = data.pitch_features(np.zeros((3, 2)))
    np.testing.assert_array_equal(silent, 0)
    # What no voice has is as the nearest that one has, and not as silence.
    outside = data.pitch_features(np.array([[-9.0, 1], [9.0, 1]]))
    assert outside[0, 0] == outside[1, -2] == 1


def test_frame_labels_by_hand() -> None:
    labels = data.frame_labels(EXAMPLE, hop_samples=100)
    assert labels.tolist() == [2, 2, 2, 2, 0, 1, 1, 1, 1, 1]
    assert labels.dtype == np.int32


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 70))
def test_any_phones_and_any_hop(durations: list[int], hop: int) -> None:
    ends = np.cumsum(durations)
    example = {
        "audio": np.zeros(ends[-1], np.int16),
        "phones": np.arange(len(durations)),
        "phone_starts": ends - durations,
        "phone_ends": ends,
        "f0_hz": np.ones(-(-ends[-1] // 40), np.float32),
    }
    each_sample = np.repeat(np.arange(len(durations)), durations)
    labels = data.frame_labels(example, hop_samples=hop)
    frames = itertools.islice(range(0, ends[-1], hop), None)
    middles = [min(start + hop // 2, ends[-1] - 1) for start in frames]
    np.testing.assert_array_equal(labels, each_sample[middles])
    features = data.phone_features(
        example, hop_samples=hop, num_phones=len(durations), sample_rate_hz=8000
    )
    assert features.shape == (-(-ends[-1] // hop), 13 - 9 + 3 * len(durations) + NUM_PITCH)
    np.testing.assert_array_equal(features[:, : len(durations)].argmax(axis=1), labels)
    np.testing.assert_allclose(features[:, 3 * len(durations) :][:, :3].sum(axis=1), 1, atol=1e-5)
    assert np.isfinite(features).all()


def test_on_synthesised_speech(spoken: data.Corpus) -> None:
    num_phones = len(spoken.class_names["phones"])
    for i in range(len(spoken)):
        example = spoken.recording(i)
        features = data.phone_features(
            example, hop_samples=40, num_phones=num_phones, sample_rate_hz=8000
        )
        assert len(features) == -(-len(example["audio"]) // 40)
        # At the F0's own frame rate the pitch is that of the label.
        pitch = features[:, -NUM_PITCH:]
        voiced = pitch[:, -1] > 0
        np.testing.assert_array_equal(voiced, example["f0_hz"] > 0)
        heights = pitch[voiced, :-1] @ PITCH_PEAKS
        np.testing.assert_allclose(150 * np.exp(heights), example["f0_hz"][voiced], rtol=1e-4)
