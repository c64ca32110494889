"""Recordings to build corpora from: made here, or real ones where they are at hand."""

import pathlib

import numpy as np
import pytest
from synthetic import noise, write

import data

SHARED = pathlib.Path(__file__).parents[2].parent / "shared" / "data"
LENGTHS = (2, 19, 40, 400, 401, 1000, 1777)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real recordings are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def counted(tmp_path_factory: pytest.TempPathFactory) -> data.Corpus:
    """No two of its samples are equal; at 20 Hz a piece holds 400 of them."""
    root = tmp_path_factory.mktemp("counted")
    values = iter(np.split(np.arange(1, sum(LENGTHS) + 1, dtype=np.int16), np.cumsum(LENGTHS)[:-1]))
    for i, samples in enumerate(values):
        write(root / "in" / "ab"[i % 2] / f"{i}.wav", samples, 20)
    write(root / "in" / "b" / "held.wav", noise(50), 20)
    labels = root / "labels.csv"
    names = [f"{'ab'[i % 2]}/{i}.wav" for i in range(len(LENGTHS))]
    rows = [f"{name},{name[0]}" for name in [*names, "b/held.wav"]]
    labels.write_text("\n".join(["path,label", *rows]))
    # All but one to train, wherever their names would send them.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "data.builders.splitting.by_hash",
            lambda all_names: {"train": names, "validation": ["b/held.wav"]},
        )
        data.build("folder", data_dir=root / "out", source=root / "in", labels=str(labels))
    return data.load("folder", root / "out", "train")


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> data.Corpus:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    root = tmp_path_factory.mktemp("spoken")
    data.build("espeak", data_dir=root, num_utterances=12, voices=["en-us", "en-us+f2"])
    return data.load("espeak", root, "train")
