"""Linguistic features: phones in their syllables, words and phrases (section 3.2).

A *phrase* lies between two pauses. A *word* has the phones between its start and its
end. A *syllable* is a vowel with the consonants before it in its word; the consonants after a
word's last vowel are that vowel's. Phones of no word, such as pauses, are in none of them.

Columns of a phone's context, K phones:
    5 K   one-hot of the phone, and of the two before and after it (0 beyond the ends)
    3     stress of its syllable: none, secondary, primary (all 0 outside syllables)
    1     whether it is a vowel
    2     phones before and after it in its syllable
    2     syllables before and after its own in the word
    2     words before and after its own in the phrase
    2     phrases before and after its own
Counts are in units of `COUNT_UNIT`, so that they are about as large as the other columns.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.text import frames

PAUSES = frozenset({"_", "#", "h#", "pau", "epi", "sil", "sp"})
STRESSES = ("none", "secondary", "primary")
COUNT_UNIT = 5.0
NEIGHBOURS = (0, -1, 1, -2, 2)
LEVELS = ("phone", "syllable", "word", "phrase")
COUNT_NAMES = tuple(f"{level}s {where}" for level in LEVELS for where in ("before", "after"))


def is_vowel(phone: str) -> bool:
    """Whether a phone is the nucleus of a syllable; syllabic consonants are.

    For eSpeak's names of phones and for ARPAbet's, TIMIT's included.
    """
    if phone in PAUSES:
        return False
    return phone[:1].lower() in "aeiou0123@&{" or phone[:1] in "VY" or phone.endswith("-")


def context_names(phones: Sequence[str]) -> tuple[str, ...]:
    """The columns of `phone_contexts`, of phones with these names."""
    return (
        *frames.neighbour_names(phones, NEIGHBOURS),
        *(f"stress: {stress}" for stress in STRESSES),
        "vowel",
        *COUNT_NAMES,
    )


def columns_around(names: Sequence[str]) -> list[np.ndarray]:
    """Which columns tell of what is around a phone: int arrays, one for each neighbour and one for
    the counts; empty without such columns.

    Args:
      names: Of the columns, those of `context_names` among them.
    """
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        if neighbour := re.match(r"phone [+-]\d+(?=: )", name):
            groups.setdefault(neighbour[0], []).append(i)
        elif name in COUNT_NAMES:
            groups.setdefault("counts", []).append(i)
    return [np.array(columns) for columns in groups.values()]


def context_frame_names(contexts: Sequence[str], *, with_pitch: bool) -> tuple[str, ...]:
    """The columns of `expand_contexts`, of contexts with columns of these names."""
    return (*contexts, *frames.PLACE_NAMES, *(frames.PITCH_NAMES if with_pitch else ()))


def phone_contexts(example: Mapping[str, Any], *, names: Sequence[str]) -> np.ndarray:
    """The context of each phone, from the text alone.

    Args:
      example: `phones` `[P]` with `phone_starts`; `word_starts` and `word_ends` `[W]`; and
        optionally `phone_stress` `[P]`, 0 to 2.
      names: Of the K classes of phones.

    Returns:
      Float32 `[P, D]`, D columns, `context_names`, as the module's docstring lists them.
    """
    phones = np.asarray(example["phones"])
    vowels = np.array([is_vowel(name) for name in names], bool)[phones]
    places = _places(example, names, vowels)
    inside = places["syllable"] >= 0
    stress = np.asarray(example.get("phone_stress", np.zeros(len(phones), int)))
    of_syllable = np.array(
        [stress[places["syllable"] == syllable].max(initial=0) for syllable in places["syllable"]]
    )
    padded = np.pad(phones, 2, constant_values=len(names))
    one_hot = np.eye(len(names) + 1, len(names), dtype=np.float32)
    columns = [one_hot[padded[2 + shift :][: len(phones)]] for shift in NEIGHBOURS]
    columns += [
        np.eye(len(STRESSES), dtype=np.float32)[of_syllable] * inside[:, None],
        vowels[:, None],
    ]
    for unit, whole in zip(LEVELS, (*LEVELS[1:], None), strict=True):
        columns.append(_around(places[unit], places[whole] if whole else None) / COUNT_UNIT)
    return np.concatenate(columns, axis=1).astype(np.float32)


def linguistic_features(
    example: Mapping[str, Any],
    *,
    names: Sequence[str],
    hop_samples: int,
    sample_rate_hz: int,
    with_pitch: bool,
) -> np.ndarray:
    """The context of the phone of each frame, and the position in the phone.

    Args:
      example: As for `phone_contexts`, with `audio` `[N]`, `phone_ends`, and for the pitch
        `f0_hz`, one value each 5 ms.
      names: Of the K classes of phones.
      hop_samples: Samples a frame.
      sample_rate_hz: Rate of `audio`.
      with_pitch: Whether to add F0 and voicing (`frames.pitch_features`): L+F in the paper,
        where L is without.

    Returns:
      Float32 `[F, D]`, F = ceil(N / hop_samples), D columns, `context_frame_names`.
    """
    return expand_contexts(
        example,
        phone_contexts(example, names=names),
        hop_samples=hop_samples,
        sample_rate_hz=sample_rate_hz,
        with_pitch=with_pitch,
    )


def expand_contexts(
    example: Mapping[str, Any],
    contexts: np.ndarray,
    *,
    hop_samples: int,
    sample_rate_hz: int,
    with_pitch: bool,
) -> np.ndarray:
    """Features of frames from contexts of phones, of any kind.

    Args:
      example: `audio` `[N]`, `phone_starts` and `phone_ends` `[P]`, and for the pitch `f0_hz`,
        one value each 5 ms.
      contexts: Of each phone, float32 `[P, D]`.
      hop_samples: Samples a frame.
      sample_rate_hz: Rate of `audio`.
      with_pitch: Whether to add F0 and voicing.

    Returns:
      Float32 `[F, ...]`, F = ceil(N / hop_samples), columns `context_frame_names`: the context of
      the frame's phone, `phone_places`, and `pitch_features`.
    """
    at, place = frames.phone_places(example, hop_samples, sample_rate_hz)
    columns = [contexts[at], place]
    if with_pitch:
        pitch = frames.log_f0(example, hop_samples, sample_rate_hz)
        columns.append(frames.pitch_features(pitch))
    return np.concatenate(columns, axis=1)


def _places(
    example: Mapping[str, Any], names: Sequence[str], vowels: np.ndarray
) -> dict[str, np.ndarray]:
    """For each phone the number of the phone, and of its syllable, word and phrase, in the
    utterance; -1 where it has none. Int64 `[P]` each."""
    phones, starts = np.asarray(example["phones"]), np.asarray(example["phone_starts"])
    word = np.searchsorted(np.asarray(example["word_starts"]), starts, side="right") - 1
    ends = np.asarray(example["word_ends"])
    is_pause = np.array([name in PAUSES for name in names], bool)[phones]
    word = np.where((word >= 0) & ~is_pause, word, -1)
    if len(ends):
        word = np.where((word >= 0) & (starts < ends[word]), word, -1)
    # A phrase begins where a word follows a pause, or the utterance begins.
    phrase, syllable = np.full(len(phones), -1), np.full(len(phones), -1)
    num_phrases = num_syllables = 0
    paused = True
    for i in range(len(phones)):
        if word[i] < 0:
            paused |= bool(is_pause[i])
            continue
        num_phrases += paused
        paused = False
        phrase[i] = num_phrases - 1
        begins = i == 0 or word[i - 1] != word[i]
        # After a vowel a new syllable begins, if the word has another vowel to come.
        rest = vowels[i:][word[i:] == word[i]]
        num_syllables += begins or bool(vowels[i - 1] and rest.any())
        syllable[i] = num_syllables - 1
    return {
        "phone": np.where(word >= 0, np.arange(len(phones)), -1),
        "syllable": syllable,
        "word": word,
        "phrase": phrase,
    }


def _around(unit: np.ndarray, whole: np.ndarray | None) -> np.ndarray:
    """Number of units before and after a phone's own unit within its whole: `[P, 2]`."""
    counts = np.zeros((len(unit), 2))
    for i in np.flatnonzero(unit >= 0):
        others = unit[unit >= 0] if whole is None else unit[whole == whole[i]]
        counts[i] = len(set(others[others < unit[i]])), len(set(others[others > unit[i]]))
    return counts
