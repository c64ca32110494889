"""Listening tests of a few short sounds, as folders."""

import pathlib

import numpy as np
import soundfile

from experiments.listening import description, preparing
from experiments.listening.description import MUSHRA, Test

RATE_HZ = 16000
SOUND_S = 0.2


def write(folder: pathlib.Path, kind: str, num_trials: int = 3, num_listeners: int = 3) -> Test:
    """A test whose sounds are tones of `SOUND_S`; prepare's own have to have a loudness."""
    test = preparing.describe(
        kind,
        ["ours"] if kind == MUSHRA else ["ours", "theirs"],
        [f"text_{i}" for i in range(num_trials)],
        with_recordings=False,
        num_listeners=num_listeners,
        num_controls=0,
        num_repeats=0,
        sample_rate_hz=RATE_HZ,
    )
    folder.mkdir()
    time_s = np.arange(round(SOUND_S * RATE_HZ)) / RATE_HZ
    for i, name in enumerate(test.sounds):
        tone = 0.1 * np.sin(2 * np.pi * (200 + 50 * i) * time_s)
        soundfile.write(folder / name, tone, RATE_HZ, subtype="PCM_16")
    description.write(test, folder)
    return test
