"""The audio that a model is for: a filter undone exactly, and labels by name."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.audio import filtering
from data.errors import DataError
from wavenet_jax import ConfigError, InputError
from wavenet_jax.audio import AudioConfig, InverseFilter, audio_config
from wavenet_jax.config import from_dict, to_dict

LOUD = np.random.default_rng(0).integers(-32768, 32768, 3000).astype(np.int16)
SPEAKERS = ("en-us+f2", "low", "high")
DIGITS = ("zero", "one")


# -- the filter -------------------------------------------------------------------


def speech_like(seed: int, level: float = 3000.0) -> np.ndarray:
    """Noise of a falling spectrum with a resonance, int16 `[4000]`."""
    x = np.random.default_rng(seed).normal(0, 1, 4000)
    for n in range(2, len(x)):
        x[n] += 1.6 * x[n - 1] - 0.8 * x[n - 2]
    return np.rint(x / x.std() * level).astype(np.int16)


def taps_of(strength: float, order: int, sound: np.ndarray) -> tuple[float, ...]:
    return filtering.noise_shaping_taps(lambda: [sound], strength=strength, order=order)


@settings(max_examples=30, deadline=None)
@given(
    strength=st.floats(0, 1),
    order=st.integers(1, 24),
    seed=st.integers(0, 5),
    cuts=st.lists(st.integers(0, 4000), max_size=5),
)
def test_the_inverse_gives_the_recording_back_however_it_is_cut(
    strength: float, order: int, seed: int, cuts: list[int]
) -> None:
    """To what rounding the filtered sound to 16 bits leaves; in chunks to the bit."""
    sound = speech_like(seed)
    audio = AudioConfig(8000, taps_of(strength, order, sound))
    y = audio.apply_filter(sound)
    assert (y.dtype, y.shape) == (np.int16, sound.shape)
    x = InverseFilter(audio.filter_taps)(y)
    # Half a unit of each sample, through the inverse filter at worst.
    response = np.zeros(4000)
    response[0] = 1.0
    response = inverse_of(audio.filter_taps, response)
    assert np.abs(x.astype(int) - sound).max() <= 0.5 * np.abs(response).sum() + 1
    in_chunks = InverseFilter(audio.filter_taps)
    edges = sorted({0, 4000, *cuts})
    parts = [in_chunks(y[a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), x)


def inverse_of(taps: tuple[float, ...], y: np.ndarray) -> np.ndarray:
    """The recursion in plain Python, in float64."""
    x = np.zeros(len(y))
    for n in range(len(y)):
        known = sum(taps[k] * x[n - k] for k in range(1, min(n, len(taps) - 1) + 1))
        x[n] = (y[n] - known) / taps[0]
    return x


def test_the_inverse_is_its_equation() -> None:
    taps = taps_of(0.7, 9, speech_like(0))
    y = speech_like(1, 500.0)[:500]
    wanted = np.clip(np.rint(inverse_of(taps, y)), -32768, 32767)
    assert np.abs(InverseFilter(taps)(y) - wanted).max() <= 1


@pytest.mark.parametrize("cut", [3, 1000])
def test_sound_goes_on_after_sound_that_was_never_filtered(cut: int) -> None:
    """A prime, of more samples than the filter has taps and of fewer."""
    sound = speech_like(0)
    audio = AudioConfig(8000, taps_of(0.5, 16, sound))
    y = audio.apply_filter(sound)
    later = InverseFilter(audio.filter_taps, sound[:cut])(y[cut:])
    unaware = InverseFilter(audio.filter_taps)(y[cut:])
    assert np.abs(later.astype(int) - sound[cut:]).max() <= 60
    assert np.abs(unaware.astype(int) - sound[cut:]).max() > 200


def test_no_filter_changes_nothing() -> None:
    audio = AudioConfig(8000)
    assert audio.apply_filter(LOUD) is LOUD
    assert InverseFilter(audio.filter_taps)(LOUD) is LOUD


def test_generated_sound_beyond_16_bits_is_clipped() -> None:
    loud = InverseFilter((0.5, -0.45))(np.full(100, 32767, np.int16))
    assert (loud.dtype, loud.max(), loud.min()) == (np.int16, 32767, 32767)


@pytest.mark.parametrize("taps", [(1.0,), (0.6, -0.4), (0.9, -0.6, 0.2, 0.1)])
def test_a_model_takes_recordings_as_a_corpus_gives_them(taps: tuple[float, ...]) -> None:
    """The library and the data, which may not import one another, have the same filter."""
    sound = LOUD // 2
    of_data = filtering.apply_filter(np.pad(sound, (len(taps) - 1, 0)), taps, "it")
    np.testing.assert_array_equal(AudioConfig(8000, taps).apply_filter(sound), of_data)


def test_a_recording_that_would_be_clipped_is_refused() -> None:
    """A few samples are clipped; more, in the library as in the data, are named."""
    audio = AudioConfig(8000, (2.0, -0.5))
    sound = np.full(1000, 100, np.int16)
    sound[:9] = 30000
    assert audio.apply_filter(sound)[:9].max() == 32767
    sound[:11] = 30000
    sentence = "^11 of 1000 samples of the recording pass full scale in the model's filter"
    with pytest.raises(InputError, match=sentence):
        audio.apply_filter(sound)
    sentence = "^11 of 1000 samples of it pass full scale in the noise-shaping filter"
    with pytest.raises(DataError, match=sentence):
        filtering.apply_filter(np.pad(sound, (1, 0)), audio.filter_taps, "it")


def test_descriptions_of_earlier_releases() -> None:
    """They have the coefficient of a pre-emphasis."""
    fields = {"sample_rate_hz": 8000, "pre_emphasis": 0.6, "classes": {}}
    taps = audio_config(fields).filter_taps
    assert taps == filtering.pre_emphasis_taps(0.6) == pytest.approx((1 / 1.6, -0.6 / 1.6))
    assert audio_config(fields | {"pre_emphasis": 0.0}) == AudioConfig(8000)


# -- labels -----------------------------------------------------------------------


def audio_of(**fields) -> AudioConfig:
    return AudioConfig(8000, classes={"speaker": SPEAKERS, "digit": DIGITS}, **fields)


def test_a_class_of_one_label() -> None:
    audio = audio_of(global_labels=("speaker",))
    condition = audio.named_condition("low")
    assert (condition.dtype, condition.shape, int(condition)) == (np.int32, (), 1)
    assert int(audio.named_condition("en-us+f2")) == 0  # its name has a +
    assert int(audio.global_condition(["high"])) == 2


def test_a_class_of_each_label() -> None:
    audio = audio_of(global_labels=("digit", "speaker"))
    np.testing.assert_array_equal(audio.named_condition("one+high"), [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(audio.global_condition(["one", "en-us+f2"]), [0, 1, 1, 0, 0])
    with pytest.raises(InputError, match="The label 'one' names 1 classes: name one for each of "):
        audio.named_condition("one")


def test_any_number_of_classes_of_a_multi_label() -> None:
    audio = audio_of(global_labels=("speaker",), multi_label=True)
    np.testing.assert_array_equal(audio.named_condition("high+low"), [0, 1, 1])
    np.testing.assert_array_equal(audio.global_condition([]), [0, 0, 0])


def test_an_unknown_class_is_named_with_the_known_ones() -> None:
    audio = audio_of(global_labels=("digit",))
    with pytest.raises(InputError, match="^There is no digit 'two': use one of zero, one.$"):
        audio.named_condition("two")


# -- the config -------------------------------------------------------------------


def test_it_is_stored_as_json() -> None:
    audio = audio_of(filter_taps=(0.9, -0.3, 0.1), global_labels=("speaker",), multi_label=True)
    fields = to_dict(audio)
    assert fields["classes"]["digit"] == ["zero", "one"]
    assert from_dict(AudioConfig, fields, "audio") == audio_config(fields) == audio


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_rate_hz": 0}, "The audio's sample_rate_hz is 0: give at least 1."),
        ({"filter_taps": ()}, r"The audio's filter_taps are \(\): give taps of which the first"),
        ({"filter_taps": (-1.0, 0.5)}, "The audio's filter_taps are .*: give taps of which"),
        ({"filter_taps": (1.0, -1.1)}, "above 0 and the inverse filter is stable"),
        ({"global_labels": ("mood",)}, "use labels that have classes: speaker"),
        ({"multi_label": True}, "The audio's multi_label is True: give one global label"),
    ],
    ids=str,
)
def test_bad_fields(fields: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AudioConfig(**({"sample_rate_hz": 8000, "classes": {"speaker": SPEAKERS}} | fields))
