"""Listening tests of a few short sounds, as folders."""

import pathlib

import numpy as np
import soundfile

from experiments.listening import description, preparing
from experiments.listening.description import MUSHRA, Test

RATE_HZ = 16000
NUM_TRIALS = NUM_LISTENERS = 3


def write(folder: pathlib.Path, kind: str, sound_s: float = 0.2) -> Test:
    """A test whose sounds are tones; prepare's own are long enough to have a loudness."""
    test = preparing.describe(
        kind,
        ["ours"] if kind == MUSHRA else ["ours", "theirs"],
        [f"text_{i}" for i in range(NUM_TRIALS)],
        with_recordings=False,
        num_listeners=NUM_LISTENERS,
        num_controls=0,
        num_repeats=0,
        sample_rate_hz=RATE_HZ,
    )
    folder.mkdir()
    time_s = np.arange(round(sound_s * RATE_HZ)) / RATE_HZ
    for i, name in enumerate(test.sounds):
        tone = 0.1 * np.sin(2 * np.pi * (200 + 50 * i) * time_s)
        soundfile.write(folder / name, tone, RATE_HZ, subtype="PCM_16")
    description.write(test, folder)
    return test
