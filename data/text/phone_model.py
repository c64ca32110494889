"""A Gaussian model of a speaker's phones, by which an alignment is made finer.

Each phone has three states, each state a mean, and all states one variance for each feature.
Viterbi training (Juang and Rabiner, 1990, "The segmental K-means algorithm for estimating
parameters of hidden Markov models", IEEE Transactions on Acoustics, Speech, and Signal Processing
38(9)) takes the means over the frames that a state has, and then finds the best states of the
frames, by turns. States have no durations, but each has a frame at least. It begins with an
alignment, so that it needs little speech: means of few frames are drawn to that of the phone, and
those to that of all phones. Of a speaker 12 s are enough (docs/experiments.md).
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

STATES = 3
ITERATIONS = 8
SHRINKAGE_FRAMES = 20.0  # a mean of as many frames is half that of its phone
_SMALLEST_VARIANCE = 1e-3


class AlignedFrames(NamedTuple):
    """A recording with its phones.

    Attributes:
      features: `[F, D]`.
      names: of the P phones, which tile the frames, with those of pauses.
      starts: The frame that each begins with, int `[P]`, rising from 0.
    """

    features: np.ndarray
    names: Sequence[str]
    starts: np.ndarray

    @property
    def is_long_enough(self) -> bool:
        """Whether each state can have a frame."""
        return len(self.features) >= STATES * len(self.names)


@dataclasses.dataclass(frozen=True)
class PhoneModel:
    """What frames of each phone are like.

    Attributes:
      means: By a phone's name, `[STATES, D]`.
      other: The mean of all frames, `[D]`, for a phone without one.
      variances: Of the frames of a state, `[D]`.
    """

    means: Mapping[str, np.ndarray]
    other: np.ndarray
    variances: np.ndarray

    def starts(self, recording: AlignedFrames) -> np.ndarray:
        """The frame that each phone begins with, int `[P]`; as they are of a recording that has
        fewer frames than states."""
        if not recording.is_long_enough:
            return recording.starts
        return self._state_starts(recording)[::STATES]

    def _state_starts(self, recording: AlignedFrames) -> np.ndarray:
        """The frame that each state of each phone begins with, int `[P * STATES]`."""
        names, of_unit = np.unique(np.array(recording.names), return_inverse=True)
        means = np.concatenate(
            [self.means.get(name, np.tile(self.other, (STATES, 1))) for name in names]
        )
        scale = 1 / np.sqrt(self.variances)
        frames, means = recording.features * scale, means * scale
        # Log-likelihoods without what is alike for all states.
        likelihoods = means @ frames.T - 0.5 * np.sum(means**2, axis=1)[:, None]
        states = (of_unit[:, None] * STATES + np.arange(STATES)).ravel()
        return best_starts(likelihoods, states)


def best_starts(likelihoods: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Where each of a row of states begins, so that the likelihood is largest (Viterbi, 1967).

    Args:
      likelihoods: Logarithms for each kind of state and frame, `[K, F]`.
      states: The kinds, int `[S]`, in the order in which they follow, S <= F.

    Returns:
      Int `[S]`, rising from 0.
    """
    num_frames = likelihoods.shape[1]
    # Of a path to frame f, the frame that its last state began with.
    began = np.zeros((len(states), num_frames), np.int32)
    best = np.cumsum(likelihoods[states[0]])
    for i, state in enumerate(states[1:], start=1):
        within = np.cumsum(likelihoods[state])
        entered = np.full(num_frames, -np.inf)
        entered[i:] = best[i - 1 : -1] - within[i - 1 : -1]
        highest = np.maximum.accumulate(entered)
        began[i] = np.maximum.accumulate(np.where(entered == highest, np.arange(num_frames), 0))
        best = within + highest
    starts = np.zeros(len(states), np.int64)
    last = num_frames - 1
    for i in range(len(states) - 1, 0, -1):
        starts[i] = began[i, last]
        last = starts[i] - 1
    return starts


def fit(recordings: Sequence[AlignedFrames]) -> PhoneModel | None:
    """The model of the recordings of a speaker, None where all are too short for one."""
    recordings = [each for each in recordings if each.is_long_enough]
    if not recordings:
        return None
    model = _estimate(recordings, [_equal_parts(each) for each in recordings])
    for _ in range(ITERATIONS):
        model = _estimate(recordings, [model._state_starts(each) for each in recordings])
    return model


def _equal_parts(recording: AlignedFrames) -> np.ndarray:
    """The starts of states that share the frames of each phone equally, one at least each."""
    edges = [*recording.starts, len(recording.features)]
    wanted = np.concatenate(
        [np.linspace(a, b, STATES, endpoint=False) for a, b in itertools.pairwise(edges)]
    )
    place = np.arange(len(wanted))
    slack = np.maximum.accumulate(np.floor(wanted) - place)
    return (np.clip(slack, 0, len(recording.features) - len(wanted)) + place).astype(np.int64)


def _estimate(recordings: Sequence[AlignedFrames], starts: Sequence[np.ndarray]) -> PhoneModel:
    """Means and variances of frames whose states begin at `starts`."""
    rows: dict[str, int] = {}
    for each in recordings:
        for name in each.names:
            rows.setdefault(name, len(rows))
    states = [
        (
            np.array([rows[name] for name in each.names])[:, None] * STATES + np.arange(STATES)
        ).ravel()
        for each in recordings
    ]
    of_frames = np.concatenate(
        [
            np.repeat(kinds, np.diff([*begin, len(each.features)]))
            for kinds, begin, each in zip(states, starts, recordings, strict=True)
        ]
    )
    frames = np.concatenate([each.features for each in recordings]).astype(np.float64)
    counts = np.bincount(of_frames, minlength=STATES * len(rows)).astype(np.float64)
    sums = np.zeros((len(counts), frames.shape[1]))
    np.add.at(sums, of_frames, frames)
    other = frames.mean(axis=0)
    by_phone = counts.reshape(-1, STATES).sum(axis=1)
    of_phone = _drawn(sums.reshape(len(rows), STATES, -1).sum(axis=1), by_phone, other)
    means = _drawn(sums, counts, np.repeat(of_phone, STATES, axis=0))
    variances = np.maximum(np.mean((frames - means[of_frames]) ** 2, axis=0), _SMALLEST_VARIANCE)
    of_names = {name: means[STATES * i : STATES * (i + 1)] for name, i in rows.items()}
    return PhoneModel(of_names, other, variances)


def _drawn(sums: np.ndarray, counts: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Means of rows that are drawn to others, the more so the fewer frames they are of."""
    return (sums + SHRINKAGE_FRAMES * to) / (counts + SHRINKAGE_FRAMES)[:, None]
