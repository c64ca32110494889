"""Decoding: from posteriors of frames to a sequence of classes and their segments.

* `viterbi`: the most likely sequence under a bigram model and minimum durations of the
  classes, as in a hybrid of a network and a hidden Markov model (Bourlard and Morgan,
  1994): a frame's likelihood is its posterior divided by the class's prior.
* `greedy`: each frame's best class, equal frames merged, without a language model.
* `align`: the segments of a given sequence of classes (forced alignment).
* `ctc_greedy`, `ctc_beam`, `ctc_align`: the same for posteriors of CTC, in which the last
  class is the blank (Graves et al., 2006; prefix search as in Hannun et al., 2014).

Logarithms are natural.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from wavenet_jax.errors import InputError

_NONE = -np.inf


class Segment(NamedTuple):
    """A class from its first frame to the frame after its last."""

    label: int
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class BigramLM:
    """A bigram model of sequences of classes, with priors and minimum durations of the classes.

    Attributes:
      log_initial: log p of each class to be the first, `[K]`.
      log_bigram: log p of class j to follow class i, `[K, K]` indexed by i, j.
      log_final: log p of each class to be the last, `[K]`.
      log_priors: log p of each class in a frame, `[K]`.
      min_frames: the minimum duration of each class, at least 1, int `[K]`.
    """

    log_initial: np.ndarray
    log_bigram: np.ndarray
    log_final: np.ndarray
    log_priors: np.ndarray
    min_frames: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """The fields as lists, for JSON."""
        return {name: value.tolist() for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{name: np.array(value) for name, value in described.items()})

    @classmethod
    def fit(
        cls,
        utterances: Iterable[Sequence[Segment]],
        num_classes: int,
        *,
        max_min_frames: int = 3,
        shortest_share: float = 0.05,
    ) -> Self:
        """The model of segmented transcripts.

        Bigrams are smoothed by interpolation with the frequencies of the classes (Witten and
        Bell, 1991), so that none is impossible.

        Args:
          utterances: the segments of each. Those labelled -1 are left out.
          num_classes: K.
          max_min_frames: the largest minimum duration.
          shortest_share: share of a class's segments that may be shorter than its minimum.

        Raises:
          InputError: no segment is labelled.
        """
        end = num_classes
        # Index K: before the first class, and after the last.
        counts = np.zeros((num_classes + 1, num_classes + 1))
        lengths: list[list[int]] = [[] for _ in range(num_classes)]
        for utterance in utterances:
            labelled = [segment for segment in utterance if segment.label >= 0]
            labels = [segment.label for segment in labelled]
            np.add.at(counts, ([end, *labels], [*labels, end]), 1)
            for label, start, stop in labelled:
                lengths[label].append(stop - start)
        if not any(lengths):
            raise InputError("There is no labelled phone to count: give transcripts.")
        unigram = (counts.sum(axis=0) + 1) / (counts.sum() + num_classes + 1)
        occurrences = counts.sum(axis=1, keepdims=True)
        followers = np.maximum((counts > 0).sum(axis=1, keepdims=True), 1)
        log_probs = np.log((counts + followers * unigram) / (occurrences + followers))
        frames = np.array([sum(each) for each in lengths], float) + 1
        min_frames = [
            int(np.clip(np.quantile(each, shortest_share), 1, max_min_frames)) if each else 1
            for each in lengths
        ]
        return cls(
            log_initial=log_probs[end, :end],
            log_bigram=log_probs[:end, :end],
            log_final=log_probs[:end, end],
            log_priors=np.log(frames / frames.sum()),
            min_frames=np.array(min_frames),
        )


def viterbi(
    log_posteriors: np.ndarray,
    lm: BigramLM,
    *,
    prior_weight: float = 1.0,
    lm_weight: float = 1.0,
    insertion_penalty: float = 0.0,
) -> list[Segment]:
    """The sequence of segments that maximises

        sum over frames of (log p(class | frame) - prior_weight log p(class))
        + sum over segments of (lm_weight log p(class | class before) - insertion_penalty)

    where each class lasts its `min_frames`.

    Args:
      log_posteriors: `[F, K]`.
      lm: of the sequences.
      prior_weight, lm_weight, insertion_penalty: as above.

    Returns:
      Segments that tile the frames; if there are fewer than the smallest minimum,
      one segment of the best class. None for no frames.
    """
    num_frames, num_classes = log_posteriors.shape
    if not num_frames:
        return []
    scores = log_posteriors - prior_weight * lm.log_priors
    enter = lm_weight * lm.log_bigram - insertion_penalty
    begin = lm_weight * lm.log_initial - insertion_penalty
    # State (k, d): class k has lasted d + 1 frames; its last state may last longer.
    min_frames = lm.min_frames
    states = np.arange(min_frames.max())
    best = np.full((num_classes, len(states)), _NONE)
    best[:, 0] = begin + scores[0]
    classes, ends = np.arange(num_classes), min_frames - 1
    entered_from = np.zeros((num_frames, num_classes), np.int32)
    # The frame at which the segment of each state began.
    began = np.zeros((num_classes, len(states)), np.int64)
    begun = np.zeros((num_frames, num_classes), np.int64)
    leaving = np.zeros((num_frames, num_classes))
    for t in range(num_frames):
        if t:
            left = leaving[t - 1]
            arrive = left[:, None] + enter
            entered_from[t] = arrive.argmax(axis=0)
            entering = arrive[entered_from[t], classes]
            stayed = best[classes, ends]
            stayed_began = began[classes, ends]
            best[:, 1:], began[:, 1:] = best[:, :-1].copy(), began[:, :-1].copy()
            best[:, 0], began[:, 0] = entering, t
            # The last state is reached from the one before it, or by staying in it.
            stays = stayed > best[classes, ends]
            best[classes[stays], ends[stays]] = stayed[stays]
            began[classes[stays], ends[stays]] = stayed_began[stays]
            best += scores[t][:, None]
        leaving[t], begun[t] = best[classes, ends], began[classes, ends]
    final = leaving[-1] + lm_weight * lm.log_final
    if not np.isfinite(final.max()):
        return [Segment(int(scores.sum(axis=0).argmax()), 0, num_frames)]
    segments = []
    label, stop = int(final.argmax()), num_frames
    while stop:
        start = int(begun[stop - 1, label])
        segments.append(Segment(label, start, stop))
        label, stop = int(entered_from[start, label]), start
    return segments[::-1]


def greedy(log_posteriors: np.ndarray) -> list[Segment]:
    """Each frame's best class, equal frames merged: segments that tile the frames."""
    best = log_posteriors.argmax(axis=1) if len(log_posteriors) else np.zeros(0, int)
    edges = [0, *np.flatnonzero(np.diff(best)) + 1, len(best)]
    return [
        Segment(int(best[start]), int(start), int(stop))
        for start, stop in itertools.pairwise(edges)
        if start < stop
    ]


def align(log_posteriors: np.ndarray, labels: Sequence[int]) -> list[Segment]:
    """Forced alignment: the most likely segments of a given sequence that tile the frames,
    each of at least one frame.

    Args:
      log_posteriors: `[F, K]`.
      labels: classes `[U]`, in order.

    Raises:
      InputError: there are no classes, or fewer frames than classes.
    """
    num_frames, number = len(log_posteriors), len(labels)
    if not number:
        raise InputError("There are no phones to align: give at least one.")
    if num_frames < number:
        raise InputError(
            f"The recording has {num_frames} frames, and the text {number} phones, each of which "
            "lasts at least one: give a longer recording, or the text of this one."
        )
    scores = log_posteriors[:, list(labels)]
    best = np.full(number, _NONE)
    best[0] = scores[0, 0]
    moved = np.zeros((num_frames, number), bool)
    for t in range(1, num_frames):
        before = np.concatenate([[_NONE], best[:-1]])
        moved[t] = before > best
        best = np.maximum(before, best) + scores[t]
    starts = np.zeros(number + 1, int)
    starts[number] = num_frames
    at = number - 1
    for t in range(num_frames - 1, 0, -1):
        if moved[t, at]:
            starts[at] = t
            at -= 1
    return [
        Segment(int(label), int(start), int(stop))
        for label, (start, stop) in zip(labels, itertools.pairwise(starts), strict=True)
    ]


def ctc_greedy(log_posteriors: np.ndarray) -> list[Segment]:
    """Each frame's best class, equal frames merged and blanks left out.

    Returns:
      Segments, between which there may be gaps.
    """
    blank = log_posteriors.shape[1] - 1
    return [segment for segment in greedy(log_posteriors) if segment.label != blank]


def ctc_align(log_posteriors: np.ndarray, labels: Sequence[int]) -> list[Segment]:
    """Forced alignment for posteriors of CTC, with gaps between the segments.

    Args:
      log_posteriors: `[F, K + 1]`, the last class being the blank.
      labels: classes `[U]`, in order.

    Raises:
      InputError: there are fewer frames than the sequence needs.
    """
    num_frames, blank = len(log_posteriors), log_posteriors.shape[1] - 1
    if not len(labels):
        return []
    needed = len(labels) + sum(a == b for a, b in itertools.pairwise(labels))
    if num_frames < needed:
        raise InputError(
            f"The recording has {num_frames} frames, and the text {len(labels)} phones, which need "
            f"{needed}: give a longer recording, or the text of this one."
        )
    # Blanks around the classes: state 2 i + 1 is that of class i.
    states = np.full(2 * len(labels) + 1, blank)
    states[1::2] = labels
    # A blank may be skipped, except between equal classes.
    may_skip = np.zeros(len(states), bool)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    best = np.full(len(states), _NONE)
    best[:2] = log_posteriors[0, states[:2]]
    steps = np.zeros((num_frames, len(states)), np.int8)
    for t in range(1, num_frames):
        moved = np.concatenate([[_NONE], best[:-1]])
        skipped = np.where(may_skip, np.concatenate([[_NONE] * 2, best[:-2]]), _NONE)
        arriving = np.stack([best, moved, skipped])
        steps[t] = arriving.argmax(axis=0)
        best = arriving.max(axis=0) + log_posteriors[t, states]
    at = len(states) - 1 if best[-1] >= best[-2] else len(states) - 2
    path = np.zeros(num_frames, int)
    for t in range(num_frames - 1, -1, -1):
        path[t] = at
        at -= steps[t, at]
    segments = []
    for i, label in enumerate(labels):
        (frames,) = np.nonzero(path == 2 * i + 1)
        segments.append(Segment(int(label), int(frames[0]), int(frames[-1]) + 1))
    return segments


def ctc_beam(
    log_posteriors: np.ndarray,
    lm: BigramLM | None = None,
    *,
    width: int = 16,
    lm_weight: float = 1.0,
    insertion_penalty: float = 0.0,
) -> list[int]:
    """The most likely sequence of classes, summed over its alignments (prefix search).

    Args:
      log_posteriors: `[F, K + 1]`, the last class being the blank.
      lm: of the sequences, whose bigrams are added to the score of each class; none by
        default.
      width: prefixes kept after each frame, at least 1.
      lm_weight: of the bigrams' logarithms.
      insertion_penalty: for each class.

    Returns:
      Classes; none if only blanks are likeliest.
    """
    if width < 1:
        raise InputError(f"The beam's width is {width}: give at least 1.")
    num_classes = log_posteriors.shape[1] - 1
    enter = np.full((num_classes + 1, num_classes), -insertion_penalty)
    end = np.zeros(num_classes + 1)
    if lm is not None:
        # Index K: the beginning.
        enter += lm_weight * np.concatenate([lm.log_bigram, lm.log_initial[None]])
        end[:num_classes] = lm_weight * lm.log_final
    # Of each prefix: log p that it ends in a blank, and in its last class.
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NONE)}
    for frame in np.asarray(log_posteriors, np.float64):
        # Less likely classes would not stay in the beam.
        likely = np.flatnonzero(frame[:-1] > frame.max() - 20)
        ended: dict[tuple[int, ...], list[float]] = {}

        def add(prefix, place, value, ended=ended):
            pair = ended.setdefault(prefix, [_NONE, _NONE])
            pair[place] = np.logaddexp(pair[place], value)

        for prefix, (in_blank, in_class) in beam.items():
            both = np.logaddexp(in_blank, in_class)
            add(prefix, 0, both + frame[-1])
            last = prefix[-1] if prefix else num_classes
            if prefix:
                add(prefix, 1, in_class + frame[last])
            for label in likely:
                begun = in_blank if label == last else both
                if begun > _NONE:
                    add((*prefix, int(label)), 1, begun + frame[label] + enter[last, label])
        ranked = sorted(
            ended.items(), key=lambda item: np.logaddexp(item[1][0], item[1][1]), reverse=True
        )[:width]
        beam = {prefix: (pair[0], pair[1]) for prefix, pair in ranked}
    best = max(
        beam,
        key=lambda prefix: (
            np.logaddexp(beam[prefix][0], beam[prefix][1]) + end[prefix[-1] if prefix else -1]
        ),
    )
    return list(best)
