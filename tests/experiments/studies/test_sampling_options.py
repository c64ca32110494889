"""The ways of drawing samples, measured beside one another."""

import json
import pathlib

import numpy as np
import pytest
import soundfile

pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")

from experiments.common import restore
from experiments.common.sampling import Sampling
from experiments.metrics import perceptual, speech_figures
from experiments.studies import sampling_options
from wavenet_jax import InputError

OPTIONS = {
    "as it is": Sampling(),
    "likeliest": Sampling(temperature=0.0),
    "voiced 0.5": Sampling(voiced_temperature=0.5),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(sampling_options, "OPTIONS", OPTIONS)
    score = perceptual.Dnsmos(3.0, 3.5, 4.0)
    monkeypatch.setattr(perceptual, "dnsmos", lambda sound, rate: score)


def test_every_way_is_measured(trained_dir: pathlib.Path, fsdd_dir, tmp_path) -> None:
    """Of a model that is not told voiced frames without the ways that need them."""
    trained = restore.load(trained_dir)
    corpus = trained.run.load(fsdd_dir, "test")
    found = sampling_options.sampling_options(trained, corpus, out=tmp_path, num_recordings=2)
    assert list(found) == ["recorded", "as it is", "likeliest"]
    json.dumps({name: speech_figures.to_dict(of) for name, of in found.items()})
    assert {of.num_recordings for of in found.values()} == {2}
    assert found["recorded"].mel_cepstral_distortion_db is None
    assert found["as it is"].mel_cepstral_distortion_db > 0
    sounds = [
        soundfile.read(tmp_path / folder / "sample_000.wav")[0]
        for folder in ("as_it_is", "likeliest")
    ]
    assert not np.array_equal(*sounds)


def test_too_many_recordings(trained_dir: pathlib.Path, fsdd_dir, tmp_path) -> None:
    trained = restore.load(trained_dir)
    corpus = trained.run.load(fsdd_dir, "test")
    with pytest.raises(InputError, match="--num_recordings is 9999"):
        sampling_options.sampling_options(trained, corpus, out=tmp_path, num_recordings=9999)
