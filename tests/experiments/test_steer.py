"""Sounds steered into files, and what the program refuses."""

import pathlib

import numpy as np
import pytest
import soundfile

import data
from experiments.common import restore
from experiments.steering import search
from experiments.tasks.steering import WAYS, steer, table
from wavenet_jax import InputError

SECONDS = 0.02
LENGTH = 160


@pytest.fixture(scope="module")
def trained(trained_dir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(trained_dir)


@pytest.fixture
def prime(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "prime.wav"
    noise = np.random.default_rng(0).normal(0, 3000, 400).astype(np.int16)
    soundfile.write(path, noise, 8000)
    return str(path)


def steered(trained, out: pathlib.Path, way: str, **options):
    given = {"constraint": "loudness:0,6+-3", "seconds": SECONDS, "labels": ["low"]} | options
    return steer(trained, way=way, out=out, num_candidates=3, chunk_s=0.01, **given)


@pytest.mark.parametrize("way", sorted({*WAYS} - {"latent"}))
def test_each_way_writes_what_it_says(way: str, trained, prime: str, tmp_path) -> None:
    out = tmp_path / "out"
    found = steered(trained, out, way, prime=prime, prime_s=0.02, num_samples=2, seed=4)
    assert sorted(path.name for path in out.iterdir()) == ["steered_000.wav", "steered_001.wav"]
    begin, _ = soundfile.read(prime, frames=LENGTH, dtype="int16")
    sounds = []
    for i, figures in enumerate(found):
        sound, rate = soundfile.read(out / figures["file"], dtype="int16")
        assert rate == 8000 and len(sound) == 2 * LENGTH
        np.testing.assert_array_equal(sound[:LENGTH], begin)
        sounds.append(sound[LENGTH:])
        assert figures["holds"] == (figures["score"] >= 0)
        assert 0 < figures["bits_per_sample"] < 20 and figures["seconds"] > 0
        times = {"sampling": 1, "likeliest": 3, "best": 3, "chunks": 3}[way]
        redrawn = (figures["drawn_samples"] - times * LENGTH) / (3 * LENGTH / 2)
        # A first chunk that fails is drawn again, of others the one before as well.
        assert figures["backtracks"] <= redrawn <= 2 * figures["backtracks"], i
    assert not np.array_equal(*sounds)
    held = sum(each["holds"] for each in found)
    assert table(found).splitlines()[-1] == f"The constraint holds for {held} of 2."


def test_labels_are_taken_in_turn(trained, prime: str, tmp_path) -> None:
    steered(
        trained, tmp_path / "both", "sampling", prime=prime, labels=["low", "high"], num_samples=2
    )
    audio = trained.run.audio
    begin, _ = soundfile.read(prime, dtype="int16")
    source = search.Source(trained, prime=begin, condition=audio.named_condition("high"))
    (codes,) = search.candidates(source, seed=0, index=1, num_candidates=1, num_samples=LENGTH)
    written, _ = soundfile.read(tmp_path / "both" / "steered_001.wav", dtype="int16")
    np.testing.assert_array_equal(written[len(begin) :], source.sound(codes))


def test_a_silent_sound_holds_nothing(trained, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(search.Source, "sound", lambda self, codes: np.zeros(len(codes), np.int16))
    (figures,) = steered(trained, tmp_path, "best")
    assert figures["score"] is None and not figures["holds"]
    assert table([figures]).startswith("steered_000.wav: fails, silent, ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraint": "tempo:3"}, "--constraint is 'tempo:3': begin it with one of key"),
        ({"constraint": "key:H_minor"}, "give a tonic and a mode"),
        ({"way": "guessing"}, "There is no way 'guessing': use one of sampling, likeliest"),
        ({"way": "latent"}, "The model has no encoder, and --way=latent changes what one makes"),
        ({"recording": "a.wav"}, "--recording is a.wav, but the model has no encoder: leave it"),
        ({"num_candidates": 0}, "num_candidates is 0: give at least 1"),
        ({"seconds": 0.0}, "--seconds is 0.0: give at least a sample's length"),
        ({"chunk_s": 1e-9}, "--chunk_s is 1e-09"),
        ({"prime_s": 1.0}, "--prime_s is 1.0 without --prime"),
        ({"labels": None}, "--label is missing: name a class to generate with .speaker: "),
        ({"labels": ["nobody"]}, "no speaker 'nobody': use one of high, low"),
    ],
)
def test_refusals(options, message: str, trained, tmp_path) -> None:
    given = {"constraint": "onsets:1-9", "way": "best", "labels": ["low"], "seconds": SECONDS}
    with pytest.raises(InputError, match=message):
        steer(trained, out=tmp_path / "out", **given | options)
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("way", ["best", "latent"])
def test_an_autoencoder_generates_a_recording_again(
    way: str, autoencoder_dir: pathlib.Path, prime: str, tmp_path
) -> None:
    """As long as the recording, or as asked for."""
    model = restore.load(autoencoder_dir, "last")
    recording = str(tmp_path / "noise.wav")
    noise = np.random.default_rng(0).normal(0, 3000, 2000).astype(np.int16)
    soundfile.write(recording, noise, 8000)
    given = {"constraint": "loudness:0,6+-0.001", "labels": ["3"], "recording": recording}
    (figures,) = steer(model, way=way, out=tmp_path / "out", num_candidates=2, **given)
    sound, _ = soundfile.read(tmp_path / "out/steered_000.wav", dtype="int16")
    assert len(sound) == 2000 and figures["drawn_samples"] == 2 * 2000
    steer(model, way="sampling", out=tmp_path / "short", seconds=SECONDS, **given)
    assert soundfile.info(tmp_path / "short/steered_000.wav").frames == LENGTH
    for options, message in (
        ({"way": "chunks"}, "and --way=chunks goes back in models without a local condition"),
        ({"recording": None}, "--recording is missing, and the model has an encoder"),
        ({"prime": prime}, "but the model has an encoder: name the recording to generate again"),
        ({"seconds": 9.0}, "local condition"),
    ):
        with pytest.raises(InputError, match=message):
            steer(model, out=tmp_path / "none", **given | {"way": way} | options)
        assert not list(tmp_path.glob("none/*"))


def test_primes_that_cannot_be_read(trained, tmp_path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(400, np.int16), 8000)
    for name, message in (
        ("missing.wav", "missing.wav is not a file"),
        ("silent.wav", "is silent"),
    ):
        with pytest.raises(data.DataError, match=message):
            steered(trained, tmp_path / "out", "best", prime=str(tmp_path / name))
    assert not (tmp_path / "out").exists()


def test_the_program(run, trained_dir: pathlib.Path, prime: str, tmp_path) -> None:
    arguments = (
        "experiments.steer",
        f"--workdir={trained_dir}",
        f"--out={tmp_path / 'out'}",
        f"--prime={prime}",
        "--label=low",
        f"--seconds={SECONDS}",
        f"--json={tmp_path / 'figures.json'}",
    )
    ended = run(*arguments, "--constraint=loudness:0,0+-40", "--way=best")
    assert ended.returncode == 0, ended.stderr
    assert "steered_000.wav: holds" in ended.stdout
    assert (tmp_path / "figures.json").exists() and (tmp_path / "out/steered_000.wav").exists()
