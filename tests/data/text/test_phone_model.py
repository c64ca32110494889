"""The model of a speaker's phones: the best path, and phones that are found again."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.text import phone_model
from data.text.phone_model import STATES, AlignedFrames


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 5))
def test_no_path_is_better(seed: int, num_states: int, more: int) -> None:
    """Than that of `best_starts`, among all."""
    random = np.random.default_rng(seed)
    num_frames = num_states + more
    likelihoods = random.normal(size=(3, num_frames))
    states = random.integers(3, size=num_states)

    def likelihood(starts: tuple[int, ...]) -> float:
        edges = [*starts, num_frames]
        parts = zip(states, itertools.pairwise(edges), strict=True)
        return sum(likelihoods[state, a:b].sum() for state, (a, b) in parts)

    rest = itertools.combinations(range(1, num_frames), num_states - 1)
    best = max(likelihood((0, *starts)) for starts in rest)
    found = phone_model.best_starts(likelihoods, states)
    assert likelihood(tuple(found)) == pytest.approx(best)


def recordings(number: int, seed: int = 0) -> tuple[list[AlignedFrames], list[np.ndarray]]:
    """Of three phones of 9 to 20 frames whose features differ, with starts that are up to 4 frames
    off; and the true starts."""
    random = np.random.default_rng(seed)
    sounds = {name: random.normal(size=(STATES, 6)) * 3 for name in "abc"}
    made, true = [], []
    for _ in range(number):
        names = list(random.permutation(list("aabbcc")))
        lengths = random.integers(9, 20, size=len(names))
        parts = [
            np.repeat(sounds[name], np.diff(np.linspace(0, length, STATES + 1).astype(int)), axis=0)
            for name, length in zip(names, lengths, strict=True)
        ]
        starts = np.cumsum([0, *lengths[:-1]])
        moved = starts + random.integers(-4, 5, size=len(starts)) * (starts > 0)
        frames = np.concatenate(parts)
        made.append(AlignedFrames(frames + random.normal(size=frames.shape), names, moved))
        true.append(starts)
    return made, true


def test_boundaries_are_found() -> None:
    made, true = recordings(6)
    model = phone_model.fit(made)
    assert model is not None
    off = np.concatenate([model.starts(x) - y for x, y in zip(made, true, strict=True)])
    before = np.concatenate([x.starts - y for x, y in zip(made, true, strict=True)])
    assert np.mean(off != 0) < 0.1 < 0.7 < np.mean(before != 0)


def test_a_phone_that_was_not_there() -> None:
    """Takes what is least like the others."""
    made, true = recordings(6)
    model = phone_model.fit(made)
    assert model is not None
    renamed = made[0]._replace(names=["d", *made[0].names[1:]])
    starts = model.starts(renamed)
    assert starts[0] == 0 and (np.diff(starts) >= STATES).all()
    assert np.abs(starts[2:] - true[0][2:]).max() <= 2


def test_too_short_a_recording_stays_as_it_is() -> None:
    made, _ = recordings(2)
    model = phone_model.fit(made)
    assert model is not None
    short = AlignedFrames(made[0].features[: 3 * STATES - 1], list("abc"), np.array([0, 2, 4]))
    np.testing.assert_array_equal(model.starts(short), [0, 2, 4])
    assert phone_model.fit([short]) is None
    exact = AlignedFrames(made[0].features[: 3 * STATES], list("abc"), np.array([0, 2, 4]))
    np.testing.assert_array_equal(model.starts(exact), [0, STATES, 2 * STATES])


def test_one_phone_of_equal_frames() -> None:
    """Whose variance is none."""
    model = phone_model.fit([AlignedFrames(np.ones((8, 2)), ["_"], np.array([0]))])
    assert model is not None and np.isfinite(model.means["_"]).all()
