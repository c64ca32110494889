"""Endless texts without repetition, from small grammars."""

from collections.abc import Callable, Iterator

import numpy as np

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_PARTS = {
    "determiner": ("the", "this", "that", "every", "another", "her", "his", "our"),
    "quality": (
        *("small", "yellow", "quiet", "broken", "heavy", "early", "gentle", "hollow"),
        *("smooth", "curious", "northern", "bright", "frozen", "polished", "careful", "weary"),
    ),
    "thing": (
        *("boat", "kitchen", "judge", "feather", "garden", "window", "engine", "village"),
        *("thought", "measure", "ocean", "letter", "church", "shadow", "mirror", "bridge"),
        *("youth", "voyage", "orchard", "whistle", "finger", "treasure", "cloth", "hammer"),
    ),
    "deed": (
        *("watched", "carried", "forgot", "joined", "followed", "measured", "pushed", "chose"),
        *("heard", "painted", "showed", "reached", "avoided", "taught", "brought", "enjoyed"),
    ),
    "place": (
        *("behind the", "under the", "near our", "beyond the", "without a", "across this"),
        *("before the", "around her", "above that", "beside the"),
    ),
    "time": (
        *("yesterday", "again", "all evening", "without a word", "in the morning", "at once"),
        *("for years", "very slowly", "just now", "with pleasure"),
    ),
}
_PATTERNS = (
    "determiner quality thing deed determiner thing",
    "determiner thing deed determiner quality thing time",
    "determiner thing place thing deed determiner thing",
    "time determiner quality thing deed determiner thing place quality thing",
)


def _digits(random: np.random.Generator) -> str:
    return " ".join(random.choice(DIGITS, size=random.integers(3, 7)))


def _sentence(random: np.random.Generator) -> str:
    pattern = str(random.choice(_PATTERNS)).split()
    return " ".join(str(random.choice(_PARTS[part])) for part in pattern)


DOMAINS: dict[str, Callable[[np.random.Generator], str]] = {
    "digits": _digits,
    "sentences": _sentence,
}


def texts(domain: str, seed: int) -> Iterator[str]:
    """Distinct texts of a domain, the same for the same seed.

    `digits` gives strings of 3 to 6 of the ten digits' names; `sentences` gives
    sentences of 6 to 14 words.
    """
    random = np.random.default_rng(seed)
    seen: set[str] = set()
    while True:
        text = DOMAINS[domain](random)
        if text not in seen:
            seen.add(text)
            yield text
