"""Listeners who did not listen, and the scores of the others."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

from experiments.listening.answers import Listener
from experiments.listening.description import (
    CONTROL,
    ITEM,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    PREFERENCE,
    RECORDING,
    REPEAT,
    Test,
)

LEVEL = 0.05
MIN_CONTROLS = 6
"""Fewer could not show at `LEVEL` that anybody listens."""

HIDDEN_REFERENCE, MAX_SHARE = 90.0, 0.15
"""BS.1534-3, section 4.1.2: of the scores of the hidden reference and of the mid anchor."""

GOOD_ANCHOR_SHARE = 0.25
"""Of listeners: a text whose mid anchor more of them score above 90 was not much degraded by it,
and nobody is left out for it (ibid.)."""


class Scores(NamedTuple):
    """Scores of a test.

    Attributes:
      kind: of the test.
      systems: that are compared.
      columns: what scores are of: one system each, or a pair.
      listeners: names.
      texts: names.
      values: `[listeners, texts, columns]`, NaN where there is none. Of a pair above 0 where the
        first of it is better.
    """

    kind: str
    systems: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    listeners: tuple[str, ...]
    texts: tuple[str, ...]
    values: np.ndarray

    def of(self, kept: Sequence[str]) -> "Scores":
        """The scores of some of the listeners."""
        rows = [self.listeners.index(name) for name in kept]
        return self._replace(listeners=tuple(kept), values=self.values[rows])


def scores_of(test: Test, listeners: Sequence[Listener]) -> Scores:
    """The scores of all listeners, those of controls and repeated trials left out."""
    is_pairs = test.kind not in (MOS, MUSHRA)
    singles = tuple((system,) for system in test.systems)
    columns: tuple[tuple[str, ...], ...] = test.pairs if is_pairs else singles
    column_of = {column: i for i, column in enumerate(columns)}
    text_of = {text: i for i, text in enumerate(test.texts)}
    values = np.full((len(listeners), len(test.texts), len(columns)), np.nan)
    for i, listener in enumerate(listeners):
        for j, answer in listener.answers.items():
            trial = test.sessions[listener.session][j]
            if trial.role != ITEM:
                continue
            systems = tuple(test.sounds[name].system for name in trial.sounds)
            text = text_of[test.sounds[trial.sounds[0]].text]
            if not is_pairs:
                for system, score in zip(systems, answer, strict=True):
                    values[i, text, column_of[system,]] = score
            elif systems in column_of:
                values[i, text, column_of[systems]] = -answer[0]
            else:
                values[i, text, column_of[systems[::-1]]] = answer[0]
    names = tuple(listener.name for listener in listeners)
    return Scores(test.kind, test.systems, columns, names, test.texts, values)


def scores_of_webmushra(scores: Mapping[tuple[str, str, str], float]) -> Scores:
    """The scores that `answers.read_webmushra` read."""
    listeners, texts, systems = (tuple(dict.fromkeys(key[i] for key in scores)) for i in range(3))
    values = np.full((len(listeners), len(texts), len(systems)), np.nan)
    for (listener, text, system), score in scores.items():
        values[listeners.index(listener), texts.index(text), systems.index(system)] = score
    columns = tuple((system,) for system in systems)
    return Scores(MUSHRA, systems, columns, listeners, texts, values)


def drop(test: Test, listeners: Sequence[Listener]) -> dict[str, str]:
    """Whom to leave out, with the reason.

    Who has not finished; and in MOS, preference and comparison tests who does not tell, at the
    level of 5%, the recordings among the control items from those with noise: by a permutation
    test of the two means (MOS), or the sign test of the pairs, where "no preference" is wrong. So
    one who answers at random stays in at most 5% of the cases. Controls are no systems that are
    compared, and nobody is dropped for what they think of those. In MUSHRA as `drop_by_reference`.
    """
    dropped = {}
    for listener in listeners:
        trials = test.sessions[listener.session]
        if len(listener.answers) < len(trials):
            dropped[listener.name] = f"answered {len(listener.answers)} of {len(trials)} trials"
        elif test.kind != MUSHRA and (reason := _failed_controls(test, listener)):
            dropped[listener.name] = reason
    if test.kind == MUSHRA:
        dropped = drop_by_reference(scores_of(test, listeners)) | dropped
    return dropped


def drop_by_reference(scores: Scores) -> dict[str, str]:
    """Whom BS.1534-3 leaves out of a MUSHRA test, section 4.1.2, with the reason.

    Who scores the hidden reference below 90, or the mid anchor above 90, in more than 15% of the
    trials; of the mid anchor those of texts that more than a quarter of the listeners score so do
    not count. What the test has not is not asked for.
    """
    dropped = {}
    for system, is_wrong, what in (
        (MID_ANCHOR, lambda x: x > HIDDEN_REFERENCE, "the mid anchor above"),
        (RECORDING, lambda x: x < HIDDEN_REFERENCE, "the hidden reference below"),
    ):
        if system not in scores.systems:
            continue
        column = scores.values[:, :, scores.systems.index(system)]
        if system == MID_ANCHOR:
            num_scored = np.maximum(1, np.isfinite(column).sum(axis=0))
            share = is_wrong(column).sum(axis=0) / num_scored
            column = column[:, share <= GOOD_ANCHOR_SHARE]
        for listener, row in zip(scores.listeners, column, strict=True):
            given = row[np.isfinite(row)]
            wrong = int(np.count_nonzero(is_wrong(given)))
            if wrong > MAX_SHARE * len(given):
                dropped[listener] = (
                    f"scored {what} {HIDDEN_REFERENCE:.0f} in {wrong} of {len(given)} trials"
                )
    return dropped


def _failed_controls(test: Test, listener: Listener) -> str:
    """How a listener failed the control items, or ""."""
    good: list[int] = []
    bad: list[int] = []
    right: list[bool] = []
    for i, trial in enumerate(test.sessions[listener.session]):
        if trial.role != CONTROL:
            continue
        is_recording = test.sounds[trial.sounds[0]].system == RECORDING
        (answer,) = listener.answers[i]
        if test.kind == MOS:
            (good if is_recording else bad).append(answer)
        else:
            right.append(answer < 0 if is_recording else answer > 0)
    if len(good) + len(bad) + len(right) < MIN_CONTROLS:
        return ""
    if test.kind == MOS:
        if _p_of_means(good, bad) <= LEVEL:
            return ""
        return (
            f"rated the recordings among the control items {np.mean(good):.1f} and those with "
            f"noise {np.mean(bad):.1f}"
        )
    if scipy.stats.binomtest(sum(right), len(right), alternative="greater").pvalue <= LEVEL:
        return ""
    return f"preferred the recording in {sum(right)} of {len(right)} control pairs"


def _p_of_means(good: Sequence[int], bad: Sequence[int]) -> float:
    """The one-sided permutation test of two means."""

    def difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(x.mean(axis=axis) - y.mean(axis=axis))

    return float(
        scipy.stats.permutation_test(
            (np.array(good, float), np.array(bad, float)),
            difference,
            vectorized=True,
            alternative="greater",
            rng=np.random.default_rng(0),
        ).pvalue
    )


def repeat_error(test: Test, listeners: Sequence[Listener]) -> float:
    """How far listeners are from themselves when a trial comes again.

    The mean absolute difference of the scores; of preferences the share of other choices. NaN
    where nothing was repeated.
    """
    differences = []
    for listener in listeners:
        trials = test.sessions[listener.session]
        for i, again in enumerate(trials):
            if again.role != REPEAT or i not in listener.answers:
                continue
            for j, trial in enumerate(trials):
                same = trial.role == ITEM and set(trial.sounds) == set(again.sounds)
                if same and j in listener.answers:
                    first, second = listener.answers[j], listener.answers[i]
                    if test.kind == MUSHRA or test.kind == MOS:
                        before = dict(zip(trial.sounds, first, strict=True))
                        after = dict(zip(again.sounds, second, strict=True))
                        differences += [abs(before[name] - after[name]) for name in before]
                    else:  # the pair is turned
                        differences += [abs(first[0] + second[0])]
    if not differences:
        return float("nan")
    found = np.array(differences)
    return float((found > 0).mean() if test.kind == PREFERENCE else found.mean())
