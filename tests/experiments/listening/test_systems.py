"""Listening tests of models: the digits of the repository, copied and spoken."""

import pathlib

import numpy as np
import pytest
import soundfile

import data
from experiments.listening import description, systems
from wavenet_jax import InputError

pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")

DIGITS = pathlib.Path(__file__).parents[3] / "experiments" / "pretrained" / "digits"


@pytest.fixture(scope="module")
def digits_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Folder of corpora with recordings like those of the model's training."""
    folder = tmp_path_factory.mktemp("corpora")
    data.build("espeak", data_dir=folder, num_utterances=12, sample_rate_hz=16000)
    return folder


def test_what_models_make_has_the_texts_of_the_recordings(digits_dir, tmp_path) -> None:
    models = {
        "a": systems.Model(str(DIGITS), systems.COPIED),
        "b": systems.Model(str(DIGITS), systems.SPOKEN),
    }
    loaded = systems.Models(models, data_dir=digits_dir, split="train", num_texts=2)
    recordings, made = loaded.write(tmp_path, seed=1)
    corpus = data.load("espeak", digits_dir, "train")
    for i, text in enumerate(loaded.texts):
        recorded, rate = soundfile.read(recordings / f"{text}.wav", dtype="int16")
        assert rate == 16000
        np.testing.assert_array_equal(recorded, corpus.recording(i)["audio"])
        copied, _ = soundfile.read(made["a"] / f"{text}.wav", dtype="int16")
        spoken, _ = soundfile.read(made["b"] / f"{text}.wav", dtype="int16")
        assert len(copied) == len(recorded)
        assert not np.array_equal(copied, recorded)
        # As long as is predicted, which is nearly what it is.
        assert len(spoken) != len(recorded)
        assert len(spoken) == pytest.approx(len(recorded), rel=0.1)
    assert len(list(made["a"].iterdir())) == len(list(recordings.iterdir())) == 2


@pytest.mark.long
def test_a_test_of_models_by_one_command(digits_dir, tmp_path, run) -> None:
    def prepare(*flags: str):
        return run("experiments.listening_test", "prepare", "--kind=preference", *flags)

    of_models = ("--num_texts=2", "--num_controls=6", "--num_repeats=0", "--split=train")
    of_models += ("--nowith_recordings", f"--data_dir={digits_dir}")
    names = (f"--system=copied={DIGITS}", f"--spoken=spoken={DIGITS}")
    ended = prepare(*of_models, *names, f"--out={tmp_path / 'test'}")
    assert ended.returncode == 0, ended.stderr
    test = description.read(tmp_path / "test")
    assert test.systems == ("copied", "spoken") and len(test.texts) == 2
    # What is wrong is said before anything is generated.
    ended = prepare(*of_models, *names, "--num_listeners=99999", f"--out={tmp_path / 'other'}")
    assert "--num_listeners is 99999" in ended.stderr and "sample/s" not in ended.stderr
    assert not (tmp_path / "other").exists()


def test_refusals(digits_dir, tmp_path, run) -> None:
    model = {"a": systems.Model(str(DIGITS), systems.COPIED)}
    with pytest.raises(InputError, match="--num_texts is 99, and the split train of espeak has"):
        systems.Models(model, data_dir=digits_dir, split="train", num_texts=99)
    for flags, message in (
        ((f"--system=a={DIGITS}", f"--recordings={tmp_path}"), "leave --recordings out"),
        ((f"--system=a={DIGITS}",), "--data_dir is missing"),
        ((f"--system=a={DIGITS}", f"--spoken=a={DIGITS}"), "both have 'a'"),
        ((f"--system=a={tmp_path}", "--split=test"), "--split is for what models generate"),
    ):
        flags = ("prepare", "--kind=mos", f"--out={tmp_path / 'out'}", *flags)
        ended = run("experiments.listening_test", *flags)
        assert ended.returncode == 1 and message in ended.stderr, ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_names_of_texts() -> None:
    assert systems.text_names(["a/b c.wav", "x.wav"]) == ["b_c", "x"]
    assert systems.text_names(["a/x.wav", "b/x.wav"]) == ["0000_x", "0001_x"]
    assert systems.text_names([".hidden", "é"]) == ["0000_.hidden", "0001__"]
    assert all(description.NAME.fullmatch(name) for name in systems.text_names(["é" * 300, "."]))
