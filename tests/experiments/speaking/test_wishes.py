"""What a browser may ask for: everything else is refused in a sentence."""

import io
import json
import pathlib
import tempfile

import numpy as np
import pytest
import soundfile

from experiments.speaking import wishes
from wavenet_jax import InputError

WISH = {"model": "tts", "text": "hello"}


def test_a_wish_is_read() -> None:
    fields = {"seed": 7, "temperature": 1, "speed": 0.5, "pitch_semitones": -3, "speaker": "bob"}
    wish = wishes.text_wish(json.dumps(WISH | fields).encode())
    assert (wish.model, wish.text, wish.speaker, wish.seed) == ("tts", "hello", "bob", 7)
    assert (wish.temperature, wish.delivery.speed, wish.delivery.pitch_semitones) == (1, 0.5, -3)
    query = {"token": "secret", "model": "violin", "seconds": "3", "temperature": "0.9"}
    going_on = wishes.recording_wish(query, b"RIFF")
    assert (going_on.seconds, going_on.temperature, going_on.file) == (3, 0.9, b"RIFF")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": " \n"}, "There is no text: give some words"),
        ({"text": "a" * 601}, "has 601 characters, and at most 600 are spoken at a time: give it"),
        ({"text": 3}, "The field text is 3: give text"),
        ({"text": None}, "The field text is None: give text"),
        ({"model": ["tts"]}, r"The field model is \['tts'\]: give text"),
        ({"speed": 0.49}, "The speed is 0.49: give a number from 0.5 to 2.0"),
        ({"speed": True}, "The field speed is True: give a number"),
        ({"speed": "1"}, "The field speed is '1': give a number"),
        ({"speed": float("nan")}, "The field speed is nan: give a finite number"),
        ({"temperature": float("inf")}, "The field temperature is inf: give a finite number"),
        ({"temperature": -0.1}, "The temperature is -0.1: give a number from 0 to 2"),
        ({"temperature": 10**400}, "The field temperature is 1000.*: give a finite number"),
        ({"pitch_semitones": 13}, "shifted by 13.0 semitones: give a number from -12"),
        ({"seed": -1}, "The seed is -1: give a number from 0 to 4294967295"),
        ({"seed": 1.5}, "The field seed is 1.5: give a whole number"),
        ({"seed": 2**40}, "The seed is 1099511627776: give a number from"),
        ({"file": "x"}, "The field 'file' is unknown: use one of model, seed, temperature, text"),
        ({"../../etc/passwd": 1}, "The field '../../etc/passwd' is unknown"),
    ],
)
def test_what_is_no_text_to_speak(changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        wishes.text_wish(json.dumps(WISH | changes).encode())


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"1" * 10_000, "is no JSON|has no fields"),
        (b"[]", "has no fields"),
        (b'{"text": "x"}', "The model is missing: name one"),
    ],
)
def test_what_is_no_request(body: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        wishes.text_wish(body)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seconds": "0"}, "The length is 0 seconds: give a whole number from 1 to 20"),
        ({"seconds": "nan"}, "The field seconds is 'nan': give a number"),
        ({"seconds": "9" * 5000}, "The field seconds is '999.*: give a number"),
        ({"temperature": "nan"}, "The field temperature is nan: give a finite number"),
        ({"path": "/etc/passwd"}, "The field path is '/etc/passwd': give a number"),
    ],
)
def test_what_is_no_recording_to_go_on_from(changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        wishes.recording_wish({"model": "violin"} | changes, b"")


def sound(suffix: str, seconds: float = 1.0, rate: int = 8000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    shape = (round(seconds * rate), channels)
    noise = np.random.default_rng(0).normal(0, 0.1, shape)
    soundfile.write(file, noise, rate, format=suffix)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Where temporary files are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_recordings_are_read_and_not_kept(folder: pathlib.Path, suffix: str) -> None:
    samples = wishes.read_recording(sound(suffix, rate=16000, channels=2), 8000)
    assert samples.dtype == np.int16 and len(samples) == 8000
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (b"", "There is no recording: choose a wav, flac or ogg file"),
        (b"hello, is this a sound?" * 100, r"cannot be used \(it cannot be read as audio"),
        (sound("wav")[:-500], r"cannot be used \(it is truncated"),
        (sound("wav", 121.0, rate=100), r"\(it lasts longer than 120 s, more than is taken"),
        (sound("wav", 0.1, rate=200_000), "has 1 channels at 200000 Hz: give one of at most 8"),
        (sound("wav", 0.1, channels=9), "has 9 channels at 8000 Hz: give one of at most 8"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "cannot be used"),
    ],
)
def test_what_is_no_recording(folder: pathlib.Path, file: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        wishes.read_recording(file, 8000)
    assert str(folder) not in str(refused.value) and "--" not in str(refused.value)
    assert not list(folder.iterdir())
