"""Recordings made for tests."""

import pathlib

import numpy as np
import soundfile


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3000, 3000, length).astype(np.int16)


def write(path: pathlib.Path, samples: np.ndarray, rate: int = 8000, **kwargs: str) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **kwargs)
    return path
