"""The classifier separates speakers, and nothing else."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

import data
from experiments.common import restore
from experiments.studies import speakers
from experiments.tasks import generation
from wavenet_jax import InputError

RATE_HZ = 8000


@pytest.fixture(scope="module")
def trained(trained_dir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(trained_dir)


def test_recordings_are_told_apart_and_untrained_samples_are_not(
    trained: restore.TrainedModel, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    figures = speakers.speaker_control(
        trained, fsdd_dir, split="validation", out=tmp_path, samples_per_class=3, seconds=0.1
    )
    assert figures["classes"] == ["high", "low"]
    assert figures["chance"] == 0.5
    # Two hums of other pitches, each twice in the split.
    assert figures["recordings"] == {"accuracy": 1.0, "confusion": [[2, 0], [0, 2]]}
    rows = np.array(figures["samples"]["confusion"])
    assert rows.sum(axis=1).tolist() == [3, 3]
    assert figures["samples"]["accuracy"] == np.trace(rows) / 6
    for name in ("confusion.png", "embedding.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.glob("sample_*.wav"))) == 6
    assert json.dumps(figures)


def test_samples_that_are_recordings_are_told_apart(
    trained: restore.TrainedModel,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A perfect model, and one that speaks with the other's voice."""
    import soundfile

    corpus = data.load("fsdd", fsdd_dir, "test")

    def speaks(shift: int):
        def say(trained, *, out, num_samples, labels, **kwargs):
            paths = []
            for i in range(num_samples):
                voice = (i + shift) % len(labels)
                of_voice = [j for j in range(len(corpus)) if corpus.label(j, "speaker") == voice]
                path = pathlib.Path(out) / f"{i}.wav"
                soundfile.write(path, corpus.recording(of_voice[0])["audio"], RATE_HZ)
                paths.append(path)
            return paths

        return say

    for shift, accuracy in ((0, 1.0), (1, 0.0)):
        monkeypatch.setattr(generation, "sample", speaks(shift))
        figures = speakers.speaker_control(
            trained, fsdd_dir, split="validation", out=tmp_path, samples_per_class=2
        )
        assert figures["samples"]["accuracy"] == accuracy


def test_refusals(
    trained: restore.TrainedModel, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def ask(trained: restore.TrainedModel = trained, split: str = "test", number: int = 1) -> None:
        speakers.speaker_control(
            trained, fsdd_dir, split=split, out=tmp_path / "out", samples_per_class=number
        )

    with pytest.raises(InputError, match="--split is train, which the classifier learns from"):
        ask(split="train")
    with pytest.raises(InputError, match="--samples_per_class is 0"):
        ask(number=0)
    audio = dataclasses.replace(trained.run.audio, global_labels=())
    without = dataclasses.replace(trained.run, audio=audio)
    with pytest.raises(InputError, match="The model has 0 labels"):
        ask(trained=trained._replace(run=without))
    assert not (tmp_path / "out").exists()
