"""From plain text to phones in their words, by eSpeak NG."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from data.errors import DataError
from data.text.espeak.synthesis import WORDS_PER_MINUTE, Process, Utterance, synthesise
from data.text.spans import PAUSE, STRESSES

# Categories of Unicode: control, private, unassigned and broken characters, and pictures.
_NO_TEXT = ("Cc", "Cn", "Co", "Cs", "So")
_MAX_PHONES_A_LETTER = 7  # a name such as "Chinese letter" has nine or more


def utterance(
    text: str, *, voice: str, phones: Sequence[str], process: Process | None = None
) -> dict[str, Any]:
    """Phones and words of a text, without the sound.

    Args:
      text: In the voice's language.
      voice: Of eSpeak, such as en-us.
      phones: Names of the classes of phones.
      process: Of eSpeak NG, fresh (`start`), which ends with this; None to start one.

    Returns:
      `phones`, `phone_stress`, `phone_starts` and `phone_ends` `[P]`, `words`, `word_starts`
      and `word_ends` `[W]`, as a recording of the `espeak` corpus has them. The times are in
      eSpeak's own samples: they tell which phones are in which word, not how fast they are.

    Raises:
      DataError: the text has no phones, a phone is none of `phones`, the voice is unknown, or
        eSpeak NG is not installed.
    """
    (speech,) = synthesise([Utterance(text, voice, WORDS_PER_MINUTE)], process)
    if all(phone.name == PAUSE for phone in speech.phones):
        raise DataError(f"the text {text[:60]!r} has no phones: give some words")
    unknown = sorted({phone.name for phone in speech.phones} - set(phones))
    if unknown:
        raise DataError(
            f"the text {text[:60]!r} has the phones {', '.join(unknown)}, and the model has only "
            f"{', '.join(phones)}: use other words, or train on more text"
        )
    return {
        "phones": np.array([list(phones).index(phone.name) for phone in speech.phones]),
        "phone_stress": np.array([STRESSES.index(phone.stress) for phone in speech.phones]),
        "phone_starts": np.array([phone.start for phone in speech.phones]),
        "phone_ends": np.array([phone.end for phone in speech.phones]),
        "words": tuple(word.name for word in speech.words),
        "word_starts": np.array([word.start for word in speech.words]),
        "word_ends": np.array([word.end for word in speech.words]),
    }


def unspeakable(texts: Iterable[str], *, voice: str) -> frozenset[str]:
    """Characters and words of texts that a voice does not speak as a reader would.

    These are characters that are no text, such as emoji, which it passes over or names, and words
    of which it names the letters ("Chinese letter") because it cannot read their script.

    Raises:
      DataError: the voice is unknown, or eSpeak NG is not installed.
    """
    words = sorted({word for text in texts for word in text.split()})
    no_text = {
        character
        for character in set("".join(words))
        # The signs of Latin-1, such as that of a degree, are read.
        if unicodedata.category(character) in _NO_TEXT and character not in "¦©®°"
    }
    # Every voice reads the letters of Latin-1.
    foreign = [word for word in words if any(c.isalpha() and c > "\xff" for c in word)]
    if not foreign:
        return frozenset(no_text)
    spoken = synthesise(Utterance(word, voice, WORDS_PER_MINUTE) for word in foreign)
    spelled = {
        word
        for word, speech in zip(foreign, spoken, strict=True)
        if sum(phone.name != PAUSE for phone in speech.phones)
        > _MAX_PHONES_A_LETTER * sum(unicodedata.category(c)[0] in "LM" for c in word)
    }
    return frozenset(no_text | spelled)
