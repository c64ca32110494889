"""The study of autoencoders: its classifiers, its mixes, and what it refuses."""

import json
import pathlib

import numpy as np
import pytest
import soundfile

import data
from experiments.common import restore
from experiments.studies import autoencoder
from experiments.tasks import generation
from wavenet_jax import InputError

RATE_HZ = 8000


@pytest.fixture(scope="module")
def trained(autoencoder_dir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(autoencoder_dir)


def study(trained: restore.TrainedModel, fsdd_dir: pathlib.Path, out: pathlib.Path, **options):
    options = {"split": "test", "instrument": "speaker", "pitch": "digit"} | options
    return autoencoder.autoencoder_study(trained, fsdd_dir, out=out, **options)


def test_perfect_reconstructions_are_known_and_others_are_not(
    trained: restore.TrainedModel,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A decoder that gives back the recordings; mixes of two are their mean, which lies between."""
    corpora = {split: data.load("fsdd", fsdd_dir, split) for split in ("train", "test")}
    recordings = {
        name.removesuffix(".wav"): corpus.recording(i)["audio"]
        for corpus in corpora.values()
        for i, name in enumerate(corpus.names)
    }

    def decode(trained, paths, lengths, conditions, *, seed, sampling):
        for path, length in zip(paths, lengths, strict=True):
            names = path.stem.split("_with_0.5_")
            if len(names) == 1:
                names = [path.stem.partition("_with_1_")[0].removesuffix("_moved")]
            parts = [recordings[name][:length].astype(float) for name in names]
            mean = np.mean([part[: min(map(len, parts))] for part in parts], axis=0)
            soundfile.write(path, np.rint(mean).astype(np.int16), RATE_HZ)

    monkeypatch.setattr(generation, "write_generated", decode)
    # What the lower voice hums: 150 Hz for a 0 and 171 Hz for a 7.
    monkeypatch.setattr(autoencoder, "_midi_numbers", lambda *_: np.array([50, *[53] * 9]))
    figures = study(trained, fsdd_dir, tmp_path)
    number = len(corpora["test"])
    assert figures["num_recordings"] == figures["num_mixes"] == number
    assert figures["recordings"] == figures["reconstructions"]
    # Moved in the label alone, which this decoder does not hear.
    assert figures["moved"]["instrument"]["share"] == 1.0
    assert figures["moved"]["pitch of the recording"] == figures["recordings"]["pitch"]
    assert figures["recordings"]["instrument"] == {"share": 1.0, "interval": [1.0, 1.0]}
    assert np.sum(figures["confusion"]["recordings"]) == number
    for ends in ("recordings", "reconstructions"):
        mixes = figures["mixes"][ends]
        assert mixes["nearer_to_both"]["share"] == mixes["centroid_between"]["share"] == 1.0
        assert mixes["mean_distortion_db"]["to_the_first"] > 0
    for name in ("confusion.png", "embeddings.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert json.dumps(figures)
    first, second, *rest = autoencoder.described(figures).splitlines()
    assert first.startswith("recordings: instrument 100% (100% to 100%), pitch ")
    assert second.replace("reconstructions", "recordings") == first
    assert [line.split(":")[0] for line in rest] == [
        "moved",
        "mixes between recordings",
        "mixes between reconstructions",
    ]


def test_noise_lies_below_the_sound_by_so_many_db() -> None:
    """So that who learned from clean and from noisy sound knows what has some noise."""
    sounds = [np.full(8000, level, np.int16) for level in (300, 3000) for _ in range(4)]
    for i, noisy in enumerate(autoencoder._with_noise(sounds, seed=0)):
        noise = noisy.astype(float) - sounds[i]
        found_db = 10 * np.log10(np.mean(np.square(sounds[i], dtype=float)) / np.mean(noise**2))
        assert abs(found_db - autoencoder.NOISE_DB[i % 4]) < 0.5, (i, found_db)


@pytest.mark.long
def test_an_untrained_model_is_measured(
    trained: restore.TrainedModel, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Noise is not known, and some of the recordings will do."""
    figures = study(trained, fsdd_dir, tmp_path, num_recordings=2, seed=1)
    assert figures["num_recordings"] == 2
    assert len(list(tmp_path.glob("*.wav"))) == 2 * 4
    shares = [figures["reconstructions"][kind]["share"] for kind in ("instrument", "pitch")]
    assert all(share in (0.0, 0.5, 1.0) for share in shares)


def test_a_mix_beyond_its_ends_is_not_between_them() -> None:
    time_s = np.arange(4000) / RATE_HZ
    random = np.random.default_rng(0)

    def tone(hz: float) -> np.ndarray:
        sound = 5000 * np.sin(2 * np.pi * hz * time_s) + random.normal(0, 20, len(time_s))
        return sound.astype(np.int16)

    ends = [(tone(500), tone(520))] * 2
    found = autoencoder._between([tone(3000), tone(510)], ends, RATE_HZ)
    assert found["centroid_between"]["share"] == 0.5
    assert found["both"]["share"] <= found["nearer_to_both"]["share"] <= 0.5


def test_moved_conditions_are_those_of_the_other_pitch(
    trained: restore.TrainedModel, fsdd_dir: pathlib.Path
) -> None:
    corpus = trained.run.load(fsdd_dir, "test")
    moved = autoencoder._moved(trained.run, corpus, "digit", np.arange(len(corpus)) % 3)
    assert [int(each) for each in moved] == [i % 3 for i in range(len(corpus))]


def test_partners_have_the_pitch_and_another_instrument() -> None:
    classes = {
        "pitch": {"test": np.array([0, 1, 2]), "train": np.array([0, 0, 1, 1, 0])},
        "instrument": {"test": np.array([0, 0, 0]), "train": np.array([0, 1, 0, 2, 3])},
    }
    assert autoencoder._pairs(classes) == [(0, 1), (1, 3)]


def test_refusals(
    trained: restore.TrainedModel,
    trained_dir: pathlib.Path,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    out = tmp_path / "out"
    for options, message in (
        ({"split": "train"}, "--split is train, which the classifiers learn from"),
        ({"instrument": "horn"}, "--instrument is horn, and fsdd has the labels .*: name one"),
        ({"pitch": "tone"}, "--pitch is tone"),
        ({"pitch": "speaker"}, "--pitch is speaker, and its classes are .*: name .* MIDI numbers"),
        ({"num_recordings": 99}, "--num_recordings is 99, and the split test of fsdd has"),
    ):
        with pytest.raises(InputError, match=message):
            study(trained, fsdd_dir, out, **options)
    with pytest.raises(InputError, match="The model has no encoder"):
        study(restore.load(trained_dir), fsdd_dir, out)
    assert not out.exists()
