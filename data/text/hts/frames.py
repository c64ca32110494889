"""Features of phones and of frames from HTS labels and questions.

`phone_contexts` and `linguistic_features` are for a recording of the `hts` corpus, as those of
`data.text.linguistics` are for phones, words and stress. `frame_answers` and `frame_features` are
bit for bit Merlin's, with its "full" sub-phone features.

Wu, Watts, King: Merlin: An open source neural network speech synthesis system (SSW 2016).
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from data.audio import reading
from data.errors import DataError
from data.text.frames import frame_middles
from data.text.hts.labels import ALIGNMENT_FRAME_S, TICKS_PER_S, Labels, read_labels
from data.text.hts.questions import Questions
from data.text.linguistics import COUNT_UNIT, expand_contexts

NUM_POSITIONS = 9
"""Columns of `frame_answers` after those of the questions."""


def phone_contexts(example: Mapping[str, Any], *, questions: Questions) -> np.ndarray:
    """The context of each phone, from its label alone.

    Args:
      example: `labels`, the P contexts; `recording`, its name, where it has one.
      questions: Q of them.

    Returns:
      Float32 `[P, Q]`, the answers: those of `QS` 0 or 1, and those of `CQS` in units of
      `linguistics.COUNT_UNIT`, so that they are about as large; -1, for no number, too.

    Raises:
      DataError: as `Questions.answers`.
    """
    name = example.get("recording", "the labels")
    of_phones = [
        questions.answer(context, f"label {i} of {name}")
        for i, context in enumerate(example["labels"], start=1)
    ]
    answers = np.array(of_phones, np.float32)
    answers[:, questions.num_binary :] /= COUNT_UNIT
    return answers


def linguistic_features(
    example: Mapping[str, Any],
    *,
    questions: Questions,
    hop_samples: int,
    sample_rate_hz: int,
    with_pitch: bool,
) -> np.ndarray:
    """The context of the phone of each frame, and the position in the phone.

    Args:
      example: As for `phone_contexts`, with `audio` `[N]`, `phone_starts`, `phone_ends`, and
        for the pitch `f0_hz`, one value each 5 ms.
      questions: Q of them.
      hop_samples: Samples a frame.
      sample_rate_hz: Rate of `audio`.
      with_pitch: Whether to add F0 and voicing.

    Returns:
      Float32 `[F, ...]`, F = ceil(N / hop_samples): `linguistics.expand_contexts`.

    Raises:
      DataError: as `Questions.answers`.
    """
    return expand_contexts(
        example,
        phone_contexts(example, questions=questions),
        hop_samples=hop_samples,
        sample_rate_hz=sample_rate_hz,
        with_pitch=with_pitch,
    )


def frame_answers(
    labels: Labels, questions: Questions, frame_s: float = ALIGNMENT_FRAME_S
) -> np.ndarray:
    """The answers for each frame of the labels, and its position in its state and phone.

    A frame belongs to the state at its middle. Times that are multiples of `frame_s`, as
    alignments have them, give Merlin's frames; others are rounded, and no error adds up.

    Args:
      labels: By state or by phone; a phone then counts as its one state.
      questions: Q of them.
      frame_s: Length of a frame in seconds.

    Returns:
      Float32 `[F, Q + 9]`, F = round(the labels' end / frame_s): the answers, then Merlin's
      "full" sub-phone features, where lengths are in frames:
      1. the share of its state that is over with this frame: 1 in the last
      2. the share of its state that is left with this frame: 1 in the first
      3. length of its state
      4. number of its state in the phone, from 1
      5. the same from the phone's end, 1 for the last
      6. length of its phone
      7. the share of its phone that is this state
      8. the share of its phone that is left with this frame: 1 in the first
      9. the share of its phone that is over with this frame: 1 in the last

    Raises:
      DataError: `frame_s` is shorter than the labels' 100 ns; or as of `Questions.answers`.
    """
    frame = round(frame_s * TICKS_PER_S)
    if frame < 1:
        raise DataError(f"frame_s is {frame_s}: it must be at least 1e-7 s, the labels' unit")
    # All times doubled, to keep the middles whole.
    num_frames = -(-(2 * int(labels.ends[-1]) - frame) // (2 * frame))
    twice_middles = (2 * np.arange(num_frames) + 1) * frame
    return _features(
        labels, questions, np.searchsorted(2 * labels.ends, twice_middles, side="right")
    )


def frame_features(
    example: Mapping[str, Any],
    *,
    label_folder: str | pathlib.Path,
    questions: Questions,
    hop_samples: int,
    sample_rate_hz: int,
) -> np.ndarray:
    """`frame_answers` of a recording by its samples: local features for `data.training_windows`.

    The last label is extended to the recording's end: alignments leave out the samples after
    the last full analysis window, some 20 ms. Lengths are in frames of `hop_samples`; with a hop
    of 5 ms the columns are those of `frame_answers`. They are not scaled.

    Args:
      example: A recording with `audio` `[N]`, as long as it was when it was aligned (not
        trimmed), and its name in `recording`.
      label_folder: Holds the recording's labels under its name, with `.lab` in place of the
        audio file's extension.
      questions: Q of them.
      hop_samples: Samples a frame.
      sample_rate_hz: Rate of `audio`.

    Returns:
      Float32 `[F, Q + 9]`, F = ceil(N / hop_samples), by the state at the frame's middle sample.

    Raises:
      DataError: the labels end over 5 ms after the audio, to which alignments may be rounded,
        or over 0.5 s before it; or as of `read_labels` and `Questions.answers`.
    """
    name = str(example["recording"])
    stem = next((name[: -len(e)] for e in reading.EXTENSIONS if name.lower().endswith(e)), name)
    labels = read_labels(pathlib.Path(label_folder, f"{stem}.lab"))
    labels.check_length(name, len(example["audio"]) / sample_rate_hz)
    at_samples = frame_middles(example, hop_samples)
    state = np.searchsorted(
        labels.ends * sample_rate_hz, at_samples.astype(np.int64) * TICKS_PER_S, side="right"
    )
    return _features(labels, questions, np.minimum(state, len(labels.ends) - 1))


def _features(labels: Labels, questions: Questions, state: np.ndarray) -> np.ndarray:
    """Answers and positions of frames, by the state of each, `[F]`, which never falls."""
    phone = labels.phones[state]
    in_state, of_state = _places(state)
    in_phone, of_phone = _places(phone)
    number = state - np.searchsorted(labels.phones, phone) + 1
    positions = [
        (in_state + 1) / of_state,
        (of_state - in_state) / of_state,
        of_state,
        number,
        labels.states_per_phone + 1 - number,
        of_phone,
        of_state / of_phone,
        (of_phone - in_phone) / of_phone,
        (in_phone + 1) / of_phone,
    ]
    answers = questions.answers(labels)[phone]
    return np.concatenate([answers, np.stack(positions, axis=1).astype(np.float32)], axis=1)


def _places(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each frame its place in its group, from 0, and the group's length; groups rise."""
    first = np.searchsorted(group, group, side="left")
    return np.arange(len(group)) - first, np.searchsorted(group, group, side="right") - first
