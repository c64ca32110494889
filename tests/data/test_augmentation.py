"""Augmentation: gain and noise within limits, and features of the sound that follow it."""

import functools
import itertools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from data import augmentation
from data.audio.filtering import apply_filter
from data.augmentation import Augmentation
from data.windows import Shape, Windows

MEL = data.MelConfig(
    sample_rate_hz=8000, hop_samples=40, n_fft=512, num_mels=20, fmin_hz=50, fmax_hz=4000
)
HOP = MEL.hop_samples


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 20), st.none() | st.floats(0, 30))
def test_gain_and_noise_are_within_limits(seed: int, gain_db: float, snr_db: float | None) -> None:
    random = np.random.default_rng(seed)
    samples = np.pad(random.normal(0, 2000, 900), (50, 50)).astype(np.int16)
    samples[50] = samples[949] = 7
    before = samples.copy()
    found = Augmentation(gain_db, snr_db)(samples, np.random.default_rng(seed))
    assert found.dtype == np.int16
    np.testing.assert_array_equal(samples, before)
    augmented = found.astype(float)
    assert not augmented[:50].any() and not augmented[950:].any()
    gain = augmented @ samples.astype(float) / (samples.astype(float) @ samples)
    noise = augmented - gain * samples
    found_snr_db = 20 * np.log10(gain * samples.std() / max(noise.std(), 1e-9))
    if snr_db is None:
        assert found_snr_db > 40
        assert abs(20 * np.log10(gain)) < gain_db + 0.1
    else:
        assert found_snr_db > snr_db - 1.5
        assert abs(20 * np.log10(gain)) < gain_db + 3


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, augmentation.MAX_ALL_PASS))
def test_all_pass_changes_the_phases_of_what_is_unvoiced(seed: int, number: int) -> None:
    """The level of each third of an octave stays, zeros before the sound stay zeros."""
    samples = np.zeros(8193, np.int16)
    samples[1000:5000] = np.random.default_rng(seed).normal(0, 2000, 4000)
    samples[-1] = 1
    augment, random = Augmentation(unvoiced_all_pass=number), np.random.default_rng(seed)
    kept = augment(samples, random, np.ones(len(samples), np.float32))
    np.testing.assert_array_equal(kept, samples)
    found = augment(samples, random, np.zeros(len(samples), np.float32))
    assert not found[:1000].any() and np.abs(found[1000:1050]).max() > 100
    power, heard = (np.abs(np.fft.rfft(each[:-1].astype(float))) ** 2 for each in (samples, found))
    edges = np.geomspace(100, 4096, 17).astype(int)
    for low, high in itertools.pairwise(edges):
        assert abs(10 * np.log10(heard[low:high].sum() / power[low:high].sum())) < 0.1


def test_all_pass_leaves_no_waveform_to_learn_by_heart() -> None:
    random = np.random.default_rng(0)
    samples = random.normal(0, 2000, 4000).astype(np.int16)
    augment, voicing = Augmentation(unvoiced_all_pass=6), np.zeros(4000, np.float32)
    found = [augment(samples, random, voicing).astype(float) for _ in range(20)]
    likeness = [
        np.correlate(a, b[20:-20]).max() / (np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in itertools.pairwise(found)
    ]
    assert np.median(likeness) < 0.5, likeness


def test_windows_have_other_phases_where_they_are_unvoiced(spoken: data.Corpus) -> None:
    windows = Windows(spoken, Shape(int(spoken.lengths.max()), 0))  # one for each recording
    augment, random = Augmentation(unvoiced_all_pass=6), np.random.default_rng(0)
    inside, outside = [], []
    for i, length in enumerate(spoken.lengths):
        difference = windows.read(i, augment, random)["samples"] - 1.0 * windows[i]["samples"]
        f0_hz = np.repeat(spoken.recording(i)["f0_hz"], 40)[:length]
        voicing = np.convolve(f0_hz > 0, np.ones(81), "same")  # of 5 ms on either side
        inside.append(difference[:length][voicing == 81])
        outside.append(difference[:length][voicing == 0])
    changed, kept = (np.concatenate(each).std() for each in (outside, inside))
    assert changed > 100 and kept < 0.1 * changed, (changed, kept)


def test_unvoiced_all_pass_needs_a_pitch(fsdd_dir: pathlib.Path) -> None:
    fsdd = data.load("fsdd", fsdd_dir, "train")
    shape = {"segment_samples": 800, "context_samples": 0, "batch_size": 2, "seed": 0}
    with pytest.raises(data.DataError, match="fsdd has no pitch, .* --f0"):
        data.training_windows(fsdd, **shape, augmentation=Augmentation(unvoiced_all_pass=1))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(0, 4.5))
def test_no_sound_is_too_short_or_too_faint(seed: int, length: int, level: float) -> None:
    """Down to one sample of 1, to which 20 dB less leaves nothing."""
    random = np.random.default_rng(seed)
    samples = (random.normal(size=length) * 10**level).clip(-32768, 32767).astype(np.int16)
    with np.errstate(all="raise"):
        found = Augmentation(20.0, 20.0)(samples, random)
        mel = data.mel_spectrogram(found, MEL)
    assert np.isfinite(mel).all() and mel.min() >= -1


def test_windows_depend_on_seed_and_place(spoken: data.Corpus) -> None:
    def batches(**options: Any) -> list[np.ndarray]:
        shape = {"segment_samples": 800, "context_samples": 0, "batch_size": 4}
        iterator = data.training_windows(spoken, **shape, **options)
        found = [next(iterator)["samples"] for _ in range(3)]
        iterator.close()
        return found

    noisy = {"augmentation": Augmentation(6.0, 10.0), "speeds": (0.9, 1.0, 1.1)}
    one, same, other = (batches(seed=seed, **noisy) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    plain = batches(seed=1, speeds=(0.9, 1.0, 1.1))
    assert all((a != b).mean() > 0.2 for a, b in zip(one, plain, strict=True))
    # Spread over two processes the stream is the same.
    parts = [batches(seed=1, shard_index=i, shard_count=2, **noisy) for i in range(2)]
    spread = [np.stack([a, b], axis=1).reshape(8, -1) for a, b in zip(*parts, strict=True)]
    np.testing.assert_array_equal(np.concatenate(spread)[:12], np.concatenate(one))


def test_silence_stays_silent() -> None:
    samples = np.zeros(100, np.int16)
    assert Augmentation(6.0, 10.0)(samples, np.random.default_rng(0)) is samples


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "gain_db is -1"),
        ((np.nan,), "gain_db is nan"),
        ((np.inf,), "gain_db is inf"),
        ((0.0, np.nan), "noise_snr_db is nan"),
        ((0.0, None, -1), "unvoiced_all_pass is -1"),
        ((0.0, None, 33), "unvoiced_all_pass is 33"),
    ],
)
def test_refused_limits(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(data.DataError, match=message):
        Augmentation(*arguments)


def halved_and_shifted(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Of each sample alone, so that the augmented whole recording is defined."""
    return (samples // 2 + 100).astype(np.int16)


@pytest.mark.parametrize("taps", [(1.0,), (0.5, -0.4, 0.1)])
@pytest.mark.parametrize("speed", [1.0, 0.9])
@pytest.mark.parametrize(
    ("hop", "n_fft", "context_frames"), [(40, 512, 0), (40, 512, 3), (80, 80, 1), (50, 101, 2)]
)
def test_features_of_the_sound_are_those_of_the_augmented_recording(
    spoken: data.Corpus,
    hop: int,
    n_fft: int,
    context_frames: int,
    speed: float,
    taps: tuple[float, ...],
) -> None:
    """In every window, at its edges and at the recording's ends."""
    features = data.MelFeatures(data.MelConfig(8000, hop, n_fft, 5, 50, 4000))
    corpus = data.Corpus("espeak", spoken._arguments[1], "train", taps, speed, 3)
    shape = Shape(20 * hop, 4 * hop, hop, context_frames)
    windows = Windows(corpus, shape, local_features=features)
    at = 0
    for i in range(len(corpus)):
        whole = halved_and_shifted(corpus.recording(i)["audio"], np.random.default_rng(0))
        mel = features({"audio": whole})
        filtered = apply_filter(np.pad(whole, (len(taps) - 1, 0)), taps, "a recording")
        padded = np.pad(mel, ((4 + context_frames, 24 + context_frames), (0, 0)))
        sound = np.pad(filtered, (4 * hop, 20 * hop))
        for nth in range(-(-len(whole) // (20 * hop))):
            window = windows.read(at, halved_and_shifted, np.random.default_rng(0))
            wanted = padded[20 * nth :][: 24 + 2 * context_frames]
            np.testing.assert_allclose(window["local"], wanted, atol=2e-5)
            np.testing.assert_array_equal(window["samples"], sound[20 * nth * hop :][: 24 * hop])
            at += 1
    assert at == len(windows)


def test_an_augmented_window_is_filtered_with_the_samples_before_it(spoken: data.Corpus) -> None:
    taps = (0.5, -0.4, 0.1)
    corpus = spoken.filtered(taps)
    windows = Windows(corpus, Shape(50, 10))
    whole = halved_and_shifted(corpus.recording(0)["audio"], np.random.default_rng(0))
    filtered = apply_filter(np.pad(whole, (2, 0)), taps, "it")
    for nth in (0, 1, 7):
        samples = windows.read(nth, halved_and_shifted, np.random.default_rng(0))["samples"]
        wanted = np.pad(filtered, (10, 0))[50 * nth :][:60]
        np.testing.assert_array_equal(samples, wanted)


@pytest.mark.parametrize("gain_db", [6.0, 20.0])
def test_a_mel_condition_follows_the_gain(spoken: data.Corpus, gain_db: float) -> None:
    """Frames whose analysis window lies within the samples are those of the samples; they used
    to be those of the sound without gain, 0.1 off at 6 dB."""
    iterator = data.training_windows(
        spoken,
        segment_samples=2000,
        context_samples=0,
        hop_samples=HOP,
        batch_size=8,
        seed=0,
        local_features=data.MelFeatures(MEL),
        augmentation=Augmentation(gain_db, 20.0),
    )
    inner = slice(8, 40)  # frames, 6.4 of which a window of 512 samples reaches on either side
    compared = 0
    for _ in range(4):
        batch = next(iterator)
        for samples, mask, local in zip(
            batch["samples"], batch["mask"], batch["local"], strict=True
        ):
            assert np.isfinite(local).all()
            if mask.all():
                mel = data.mel_spectrogram(samples, MEL)
                np.testing.assert_allclose(local[inner], mel[inner], atol=2e-5)
                compared += mel[inner].max() > -0.5
    iterator.close()
    assert compared > 10


def augmented_local(corpus: data.Corpus, features: Callable[..., np.ndarray]) -> np.ndarray:
    iterator = data.training_windows(
        corpus,
        segment_samples=800,
        context_samples=0,
        hop_samples=HOP,
        batch_size=4,
        seed=0,
        local_features=features,
        augmentation=Augmentation(6.0, 20.0),
    )
    local = next(iterator)["local"]
    iterator.close()
    return local


def test_features_of_labels_stay(spoken: data.Corpus) -> None:
    features = functools.partial(data.frame_labels, hop_samples=HOP)
    plain = Windows(spoken, Shape(800, 0, HOP), local_features=features)
    every = {plain[i]["local"].tobytes() for i in range(len(plain))}
    assert {local.tobytes() for local in augmented_local(spoken, features)} <= every


def test_features_of_the_sound_without_a_margin_are_refused(spoken: data.Corpus) -> None:
    features = functools.partial(lambda example: data.mel_spectrogram(example["audio"], MEL))
    with pytest.raises(data.DataError, match="depends on the sound .* audio_margin_samples"):
        augmented_local(spoken, features)
