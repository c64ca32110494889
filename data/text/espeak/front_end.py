"""From plain text to phones in their words, by eSpeak NG."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.errors import DataError
from data.text.espeak.synthesis import WORDS_PER_MINUTE, Utterance, synthesise
from data.text.spans import PAUSE, STRESSES


def utterance(text: str, *, voice: str, phones: Sequence[str]) -> dict[str, Any]:
    """Phones and words of a text, without the sound.

    Args:
      text: In the voice's language.
      voice: Of eSpeak, such as en-us.
      phones: Names of the classes of phones.

    Returns:
      `phones`, `phone_stress`, `phone_starts` and `phone_ends` `[P]`, `words`, `word_starts`
      and `word_ends` `[W]`, as a recording of the `espeak` corpus has them. The times are in
      eSpeak's own samples: they tell which phones are in which word, not how fast they are.

    Raises:
      DataError: the text has no phones, a phone is none of `phones`, the voice is unknown, or
        eSpeak NG is not installed.
    """
    (speech,) = synthesise([Utterance(text, voice, WORDS_PER_MINUTE)])
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
