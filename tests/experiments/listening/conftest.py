"""Folders of sound that a listening test is made of."""

import pathlib

import numpy as np
import pytest
import soundfile

RATE_HZ = 16000
TEXTS = [f"text_{i}" for i in range(8)]


@pytest.fixture(scope="session")
def sound_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Recordings, and two systems with noise and another level; silence around them all."""
    root = tmp_path_factory.mktemp("sounds")
    random = np.random.default_rng(0)
    folders = {}
    for system, gain, noise in (("recordings", 0.3, 0), ("ours", 0.05, 0.02), ("theirs", 0.6, 0.1)):
        folder = folders[system] = root / system
        folder.mkdir()
        for i, text in enumerate(TEXTS):
            time_s = np.arange(RATE_HZ * (6 + i) // 10) / RATE_HZ
            tone = np.sign(np.sin(2 * np.pi * (110 + 10 * i) * time_s)) * np.sin(3 * time_s)
            sound = gain * (tone + noise * random.normal(size=len(time_s)))
            silence = np.zeros(RATE_HZ // 5 * (1 + i % 2))
            sound = np.concatenate([silence, np.clip(sound, -1, 1), silence])
            soundfile.write(folder / f"{text}.wav", sound, RATE_HZ)
    return folders
