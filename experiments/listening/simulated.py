"""Listeners who do not exist, of known preference and noise, and those who answer at random.

With them a test is rehearsed before people take it, and its statistics are tested.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from experiments.common import cli, files
from experiments.listening import answers
from experiments.listening.answers import RANGES, Listener
from experiments.listening.description import (
    COMPARISON,
    DEGRADED,
    LOW_ANCHOR,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    PREFERENCE,
    RECORDING,
    Test,
    Trial,
)
from wavenet_jax import InputError

DEFAULT_QUALITY = 3.2
"""Of a system, on the scale of opinions from 1 to 5."""

UNITS = {MOS: 1.0, PREFERENCE: 1.0, COMPARISON: 1.0, MUSHRA: 18.0}
"""Of a scale, for one unit of quality."""


@dataclasses.dataclass(frozen=True)
class World:
    """How qualities become answers, in units of quality.

    Attributes:
      qualities: of the systems, added ones left out.
      listener: deviation of a listener's level.
      listener_system: of what a listener thinks of a system.
      text: of a text's level.
      text_system: of a text's by a system.
      noise: of each answer.
      indifference: up to which two are no preference.
      lapses: share of the answers that are random.
    """

    qualities: Mapping[str, float]
    listener: float = 0.4
    listener_system: float = 0.25
    text: float = 0.3
    text_system: float = 0.25
    noise: float = 0.6
    indifference: float = 0.3
    lapses: float = 0.01

    def quality(self, system: str) -> float:
        added = {RECORDING: 4.4, DEGRADED: 1.3, LOW_ANCHOR: 1.5, MID_ANCHOR: 2.8}
        return self.qualities.get(system, added.get(system, np.nan))


class Population:
    """The listeners and texts of one test, drawn from a world."""

    def __init__(self, test: Test, world: World, seed: int) -> None:
        self._test, self._world = test, world
        self._random = random = np.random.default_rng([seed, 77])
        systems = sorted({sound.system for sound in test.sounds.values()})
        self._of_text = {text: random.normal(0, world.text) for text in test.texts}
        self._of_both = {
            (system, text): random.normal(0, world.text_system)
            for system in systems
            for text in test.texts
        }
        self._systems = systems

    def listener(self, session: int, name: str = "") -> Listener:
        """One who listens."""
        random, world = self._random, self._world
        level = random.normal(0, world.listener)
        of_system = {system: random.normal(0, world.listener_system) for system in self._systems}

        def quality(name: str) -> float:
            sound = self._test.sounds[name]
            return (
                world.quality(sound.system)
                + of_system[sound.system]
                + self._of_both[sound.system, sound.text]
                + random.normal(0, world.noise)
            )

        kind, found = self._test.kind, {}
        low, high = RANGES[kind]
        for i, trial in enumerate(self._test.sessions[session]):
            if random.uniform() < world.lapses:
                found[i] = self._any(trial)
            elif kind == MOS:
                (sound,) = trial.sounds
                score = quality(sound) + level + self._of_text[self._test.sounds[sound].text]
                found[i] = (int(np.clip(np.rint(score), low, high)),)
            elif kind == MUSHRA:
                scores = []
                for sound in trial.sounds:
                    if self._test.sounds[sound].system == RECORDING:
                        scores += [int(100 - abs(random.normal(0, 3)))]
                    else:
                        text = self._of_text[self._test.sounds[sound].text]
                        score = UNITS[kind] * (quality(sound) + level + text)
                        scores += [int(np.clip(np.rint(score), low, high))]
                found[i] = tuple(scores)
            else:
                difference = quality(trial.sounds[1]) - quality(trial.sounds[0])
                if kind == PREFERENCE:
                    found[i] = (int(np.sign(difference) * (abs(difference) > world.indifference)),)
                else:
                    found[i] = (int(np.clip(np.rint(difference), low, high)),)
        return Listener(name or f"listener_{session:02}", session, found)

    def random_listener(self, session: int, name: str) -> Listener:
        """One who does not."""
        trials = self._test.sessions[session]
        return Listener(name, session, {i: self._any(trial) for i, trial in enumerate(trials)})

    def _any(self, trial: Trial) -> tuple[int, ...]:
        low, high = RANGES[self._test.kind]
        number = len(trial.sounds) if self._test.kind == MUSHRA else 1
        return tuple(int(x) for x in self._random.integers(low, high + 1, number))


def true_difference(kind: str, world: World, first: str, second: str) -> float:
    """What a test of this kind has as the expected difference of two systems, by drawing a million
    answers: listeners, texts and noise are all new in each."""
    random, number = np.random.default_rng(5), 1_000_000
    low, high = RANGES[kind]
    own = np.sqrt(world.listener_system**2 + world.text_system**2 + world.noise**2)
    shared = random.normal(0, np.hypot(world.listener, world.text), number)
    drawn = [world.quality(name) + random.normal(0, own, number) for name in (first, second)]
    if kind in (MOS, MUSHRA):
        x, y = (np.clip(np.rint(UNITS[kind] * (each + shared)), low, high) for each in drawn)
        difference = x - y
    elif kind == PREFERENCE:
        gap = drawn[0] - drawn[1]
        difference = np.sign(gap) * (np.abs(gap) > world.indifference)
    else:
        difference = np.clip(np.rint(drawn[0] - drawn[1]), low, high)
    return float((1 - world.lapses) * difference.mean())


def rehearse(
    test: Test, folder: pathlib.Path, qualities: Mapping[str, float], *, seed: int = 0
) -> int:
    """Writes made-up answers to all sessions of a test, by names that say so.

    Args:
      test: to be answered.
      folder: for the files, new or empty.
      qualities: of some of the systems, 1 to 5; the others have `DEFAULT_QUALITY`.
      seed: of the listeners.

    Returns:
      The number of listeners.

    Raises:
      InputError: a quality is out of range or of no system, or the folder has files.
    """
    compared = [name for name in test.systems if name not in (RECORDING, LOW_ANCHOR, MID_ANCHOR)]
    for name, quality in qualities.items():
        if name not in compared:
            raise InputError(f"There is no system {name!r}: give one of {', '.join(compared)}.")
        if not 1 <= quality <= 5:
            raise InputError(f"The quality of {name} is {quality:g}: give 1 to 5.")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is there already: choose a new folder for made-up answers.")
    cli.require_writable(folder)
    world = World(dict.fromkeys(compared, DEFAULT_QUALITY) | dict(qualities))
    population = Population(test, world, seed)
    for session in range(len(test.sessions)):
        listener = population.listener(session, f"{answers.MADE_UP}{session + 1:03}")
        lines = [answers.head_line(test, session)]
        lines += [answers.answer_line(i, answer) for i, answer in listener.answers.items()]
        files.write_whole(folder / f"{listener.name}{answers.SUFFIX}", b"".join(lines))
    return len(test.sessions)
