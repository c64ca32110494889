"""Plans of listening tests: who hears which text by which system, in which order.

A Latin square over listeners and texts gives every listener each text once, and every text each
system once among as many successive listeners as there are systems. The order follows Williams
(1949): systems come in blocks of all of them, whose order is another row of a square in which each
system follows each other one equally often.
"""

from typing import NamedTuple

import numpy as np


class Slot(NamedTuple):
    """A text to be presented.

    Attributes:
      text: its index.
      condition: the index of its system, or of its pair of systems.
      is_turned: whether the second of the pair comes first.
    """

    text: int
    condition: int
    is_turned: bool


def williams_square(size: int) -> np.ndarray:
    """Orders of `size` conditions, balanced for what precedes, int `[rows, size]`.

    Each row has each condition once, each condition is in each column equally often, and each
    follows each other one equally often: once in `size` rows where `size` is even, twice in
    2 `size` rows where it is odd (Williams, 1949).

    Raises:
      ValueError: `size` is less than 1.
    """
    if size < 1:
        raise ValueError(f"size is {size}: give at least 1")
    first = [(i + 1) // 2 if i % 2 else (size - i // 2) % size for i in range(size)]
    square = (np.array(first) + np.arange(size)[:, None]) % size
    return square if size % 2 == 0 or size == 1 else np.concatenate([square, square[:, ::-1]])


def plan(num_texts: int, num_conditions: int, num_listeners: int, seed: int) -> list[list[Slot]]:
    """The texts of each listener in order, each once.

    Args:
      num_texts: how many.
      num_conditions: systems, or pairs of systems.
      num_listeners: sessions to plan. In a multiple of twice the conditions each text has each
        condition, either way round, equally often.
      seed: of the assignment and of the order of texts.
    """
    place = np.random.default_rng([seed, 0]).permutation(num_texts)
    square = williams_square(num_conditions)
    sessions = []
    for listener in range(num_listeners):
        random = np.random.default_rng([seed, 1, listener])
        conditions = (place + listener) % num_conditions
        turned = (place // num_conditions + listener // num_conditions) % 2 == 1
        left = [
            list(random.permutation(np.flatnonzero(conditions == c))) for c in range(num_conditions)
        ]
        slots: list[Slot] = []
        block = listener
        while len(slots) < num_texts:
            for condition in square[block % len(square)]:
                if left[condition]:
                    text = int(left[condition].pop())
                    slots.append(Slot(text, int(condition), bool(turned[text])))
            block += 1
        sessions.append(slots)
    return sessions


def with_extras(
    num_items: int, num_controls: int, num_repeats: int, random: np.random.Generator
) -> list[tuple[str, int]]:
    """The order of items, controls and repeated items in a session.

    Controls are spread over the whole of it. Items to be repeated are drawn from its first half,
    and repeated in its last quarter.

    Returns:
      The entries, each "item" with its place among the items, "control" with its number, or
      "repeat" with the place of the item that is repeated.
    """
    at = {("item", i): i + 0.0 for i in range(num_items)}
    repeated = random.permutation((num_items + 1) // 2)[:num_repeats]
    for i in repeated:
        at["repeat", int(i)] = random.uniform(0.75 * num_items, num_items)
    for i in range(num_controls):
        at["control", i] = (i + random.uniform()) * num_items / num_controls - 0.5
    return sorted(at, key=lambda entry: at[entry])
