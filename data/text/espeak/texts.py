"""Endless texts without repetition, from small grammars."""

from collections.abc import Callable, Iterator

import numpy as np

from data.text.espeak.grammars import EVERYDAY, SENTENCES

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _digits(random: np.random.Generator) -> str:
    return " ".join(random.choice(DIGITS, size=random.integers(3, 7)))


def _everyday(random: np.random.Generator) -> str:
    grammar = EVERYDAY if random.random() < 0.75 else SENTENCES
    return grammar.draw(random)


DOMAINS: dict[str, Callable[[np.random.Generator], str]] = {
    "digits": _digits,
    "sentences": SENTENCES.draw,
    "everyday": _everyday,
}


def texts(domain: str, seed: int) -> Iterator[str]:
    """Distinct texts of a domain, the same for the same seed.

    `digits` gives strings of 3 to 6 of the ten digits' names; `sentences` gives
    sentences of 6 to 14 words, which are 92; `everyday` gives sentences of about 600 words, with
    all phones of English, and those of `sentences` among them, one in four.
    """
    random = np.random.default_rng(seed)
    seen: set[str] = set()
    while True:
        text = DOMAINS[domain](random)
        if text not in seen:
            seen.add(text)
            yield text
