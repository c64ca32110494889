"""The audio that a model is for: pre-emphasis undone exactly, and labels by name."""

import numpy as np
import pytest

from data.audio import emphasis
from wavenet_jax import ConfigError, InputError
from wavenet_jax.audio import AudioConfig, DeEmphasis, pre_emphasize
from wavenet_jax.config import from_dict, to_dict

LOUD = np.random.default_rng(0).integers(-32768, 32768, 3000).astype(np.int16)
SPEAKERS = ("en-us+f2", "low", "high")
DIGITS = ("zero", "one")


# -- emphasis ---------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.97])
def test_the_inverse_gives_the_recording_back(coefficient: float) -> None:
    """To what rounding to 16 bits leaves, and without clipping at full scale."""
    y = pre_emphasize(np.pad(LOUD, (1, 0)), coefficient)
    assert y.dtype == np.int16
    x = DeEmphasis(coefficient)(y)
    allowed = 0 if coefficient == 0 else (1 + coefficient) / (1 - coefficient)
    assert np.abs(x.astype(int) - LOUD).max() <= allowed


def test_chunks_do_not_matter() -> None:
    y = pre_emphasize(np.pad(LOUD, (1, 0)), 0.9)
    in_chunks = DeEmphasis(0.9)
    parts = [in_chunks(y[i : i + 700]) for i in range(0, len(y), 700)]
    np.testing.assert_array_equal(np.concatenate(parts), DeEmphasis(0.9)(y))
    # And audio may go on after audio that never had emphasis.
    later = DeEmphasis(0.9, last=float(LOUD[999]))
    assert np.abs(later(y[1000:]).astype(int) - LOUD[1000:]).max() <= 19


def test_what_goes_beyond_16_bits_is_clipped() -> None:
    loud = DeEmphasis(0.9)(np.full(100, 32767, np.int16))
    assert (loud.dtype, loud.max(), loud.min()) == (np.int16, 32767, 32767)


@pytest.mark.parametrize("coefficient", [0.0, 0.3, 0.97])
def test_a_model_takes_recordings_as_a_corpus_gives_them(coefficient: float) -> None:
    """The library and the data, which may not import one another, have the same filter."""
    audio = AudioConfig(8000, pre_emphasis=coefficient)
    of_data = emphasis.pre_emphasize(np.pad(LOUD, (1, 0)), coefficient)
    np.testing.assert_array_equal(audio.apply_pre_emphasis(LOUD), of_data)
    np.testing.assert_array_equal(pre_emphasize(LOUD, coefficient), of_data[1:])


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
    audio = audio_of(pre_emphasis=0.5, global_labels=("speaker",), multi_label=True)
    fields = to_dict(audio)
    assert fields["classes"]["digit"] == ["zero", "one"]
    assert from_dict(AudioConfig, fields, "audio") == audio


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_rate_hz": 0}, "The audio's sample_rate_hz is 0: give at least 1."),
        ({"pre_emphasis": 1.0}, "The audio's pre_emphasis is 1.0: give a number from 0 up to"),
        ({"global_labels": ("mood",)}, "use labels that have classes: speaker"),
        ({"multi_label": True}, "The audio's multi_label is True: give one global label"),
    ],
    ids=str,
)
def test_bad_fields(fields: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AudioConfig(**({"sample_rate_hz": 8000, "classes": {"speaker": SPEAKERS}} | fields))
