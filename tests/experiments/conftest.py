"""What the tests of programs share: a trained work directory, a spoken corpus, processes."""

import pathlib

import programs
import pytest
import tiny

import data
from experiments.tasks.training import train


@pytest.fixture(scope="session")
def run() -> programs.Run:
    """Runs a program in a process: `run("experiments.sample", "--help")`."""
    return programs.run


@pytest.fixture(scope="session")
def trained_dir(tmp_path_factory: pytest.TempPathFactory, fsdd_dir: pathlib.Path) -> pathlib.Path:
    """A work directory of `tiny` after 30 steps, conditioned on the speaker."""
    config = tiny.experiment(num_steps=30, checkpoint_every=15)
    workdir = tmp_path_factory.mktemp("trained")
    train(config, workdir=workdir, data_dir=fsdd_dir)
    return workdir


@pytest.fixture(scope="session")
def autoencoder_dir(
    tmp_path_factory: pytest.TempPathFactory, fsdd_dir: pathlib.Path
) -> pathlib.Path:
    """A work directory of `tiny`'s autoencoder after 6 steps, with checkpoints of the last two."""
    workdir = tmp_path_factory.mktemp("autoencoder")
    train(tiny.experiment(tiny.autoencoder_config()), workdir=workdir, data_dir=fsdd_dir)
    return workdir


@pytest.fixture(scope="session")
def spoken_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Folder of corpora with digits that eSpeak says, for recognizers."""
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    folder = tmp_path_factory.mktemp("corpora")
    rate = tiny.RECOGNIZER_RATE_HZ
    data.build("espeak", data_dir=folder, num_utterances=60, sample_rate_hz=rate)
    return folder
