"""The models of the page: what they refuse, and that nothing is compiled once they are warm."""

import io
import logging
import pathlib

import jax
import numpy as np
import pytest
import soundfile

pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")

import data
from experiments.common import prosody, restore
from experiments.common.sampling import Sampling
from experiments.speaking import models, wishes
from experiments.speaking.wishes import RecordingWish, TextWish
from experiments.tasks import generation, speech
from wavenet_jax import InputError

PRETRAINED = pathlib.Path(__file__).parents[3] / "experiments" / "pretrained"


@pytest.fixture(scope="module")
def digits():
    (model,) = models.load([str(PRETRAINED / "digits")], Sampling(precision="int8")).values()
    yield model
    model.close()


def test_what_it_says_of_itself(digits) -> None:
    assert digits.description() == {
        "name": "digits",
        "takes": "text",
        "speakers": [],
        "has_pitch": True,
        "sample_rate_hz": 16000,
        "share": 0.0,
    }


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"text": "日本 seven \x01"}, InputError, "The voice en-us cannot say '\\\\x01', '日本'"),
        ({"text": "?!"}, data.DataError, "has no phones: give some words"),
        ({"text": "the joy"}, data.DataError, "has the phones .*, and the model has only"),
        ({"text": "seven " * 90}, InputError, "at most 10 are spoken at a time: give it in parts"),
        ({"speaker": "bob"}, InputError, "There is no speaker 'bob': use one of none, for the"),
    ],
)
def test_texts_that_are_refused(digits, monkeypatch, changes: dict, error: type, sentence: str):
    monkeypatch.setattr(wishes, "MAX_SPOKEN_S", 10.0)
    with pytest.raises(error, match=sentence):
        digits.begin(TextWish("digits", **({"text": "seven"} | changes)))


def test_an_engine_that_hangs_is_killed(digits, monkeypatch) -> None:
    monkeypatch.setattr(models, "PHONES_S", 0.0)
    with pytest.raises(data.DataError, match="eSpeak NG ended while it synthesised 'seven'"):
        digits.begin(TextWish("digits", text="seven"))
    monkeypatch.undo()
    assert digits.begin(TextWish("digits", text="seven")).num_samples


def test_nothing_is_compiled_once_it_is_warm(digits, monkeypatch, caplog) -> None:
    """Texts have many lengths, and a listener waits for none of them."""
    monkeypatch.setattr(wishes, "MAX_SPOKEN_S", 2.0)
    monkeypatch.setattr(wishes, "MAX_CHARACTERS", 20)
    digits.warm()
    assert digits.share > 0
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for text in ("two", "seven", "one nine", "four two eight"):
            for seed in (0, 1):
                speech_ = digits.begin(TextWish("digits", text=text, seed=seed, speed=1.1))
                assert sum(map(len, speech_.chunks)) == speech_.num_samples
        compiled = [each.getMessage()[:90] for each in caplog.records if "Compiling" in each.msg]
    assert not compiled


def test_a_wish_is_what_speak_writes(digits, tmp_path) -> None:
    wish = TextWish("digits", text="two one", seed=4, speed=0.9, pitch_semitones=2, temperature=0.9)
    samples = np.concatenate(list(digits.begin(wish).chunks))
    trained = restore.load(PRETRAINED / "digits")
    speech.speak(
        trained,
        prosody.load(PRETRAINED / "digits", trained.run),
        speech.utterance(trained.run, text="two one"),
        out=tmp_path / "a.wav",
        seed=4,
        sampling=Sampling(precision="int8", temperature=0.9),
        delivery=wish.delivery,
    )
    written, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(samples, written)


def test_models_that_the_page_does_not_offer(trained_dir) -> None:
    both = [str(PRETRAINED / "digits"), f"{PRETRAINED}/../pretrained/digits"]
    with pytest.raises(InputError, match="--model names digits twice: rename one of the folders"):
        models.load(both, Sampling())
    with pytest.raises(InputError, match="takes labels, and the page gives text or a recording to"):
        models.load([str(trained_dir)], Sampling())


@pytest.mark.long
def test_the_violin_goes_on_from_a_recording(tmp_path) -> None:
    (violin,) = models.load([str(PRETRAINED / "violin")], Sampling(precision="int8")).values()
    random = np.random.default_rng(0)
    recording = (3000 * np.sin(np.arange(60_000) / 3) + random.normal(0, 50, 60_000)).astype("<i2")
    file = io.BytesIO()
    soundfile.write(file, recording, 8000, format="wav")
    wish = RecordingWish("violin", seconds=1, file=file.getvalue(), seed=3)
    begun = violin.begin(wish)
    chunks = list(begun.chunks)
    samples = np.concatenate(chunks)
    assert (begun.primed_samples, begun.num_samples) == (16_000, 24_000)
    assert len(samples) == begun.num_samples and max(map(len, chunks)) == violin.chunk_samples
    np.testing.assert_array_equal(samples[:16_000], recording[-16_000:])
    primed = violin.prime_samples
    assert primed % violin.chunk_samples == 0 and 34_288 <= primed < 36_000
    # It is what sample continues with, of the same end of the recording.
    soundfile.write(tmp_path / "end.wav", recording[-primed:], 8000)
    (path,) = generation.sample(
        restore.load(PRETRAINED / "violin"),
        out=tmp_path,
        seed=3,
        seconds=1,
        prime=str(tmp_path / "end.wav"),
        sampling=Sampling(precision="int8"),
    )
    written, _ = soundfile.read(path, dtype="int16")
    near = np.count_nonzero(samples[16_000:16_800] == written[primed : primed + 800])
    assert near == 800  # chunks of other lengths differ by rounding, at some time
    short = io.BytesIO()
    soundfile.write(short, recording[:400], 8000, format="wav")
    with pytest.raises(InputError, match=r"lasts 0.05 seconds: give a longer one, at best of 4 s"):
        violin.begin(RecordingWish("violin", file=short.getvalue()))
