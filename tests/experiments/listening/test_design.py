"""The Latin square: what every plan must be, for any numbers."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.listening import design

NUMBERS = {"num_conditions": st.integers(1, 9), "seed": st.integers(0, 99)}


@given(size=st.integers(1, 12))
def test_orders_are_balanced_for_what_precedes(size: int) -> None:
    square = design.williams_square(size)
    every = set(range(size))
    assert all(set(row) == every for row in square)
    for column in square.T:
        assert set(np.bincount(column, minlength=size)) == {len(square) // size}
    follows = collections.Counter(
        (a, b) for row in square.tolist() for a, b in itertools.pairwise(row)
    )
    times = 0 if size == 1 else 1 + size % 2
    assert all(follows[a, b] == times for a in every for b in every - {a})


def test_an_order_by_hand() -> None:
    assert design.williams_square(4)[0].tolist() == [0, 1, 3, 2]
    with pytest.raises(ValueError, match="size is 0"):
        design.williams_square(0)


@given(num_texts=st.integers(1, 40), num_listeners=st.integers(1, 30), **NUMBERS)
def test_each_listener_hears_each_text_once_and_systems_alike(
    num_texts: int, num_conditions: int, num_listeners: int, seed: int
) -> None:
    for session in design.plan(num_texts, num_conditions, num_listeners, seed):
        assert sorted(slot.text for slot in session) == list(range(num_texts))
        heard = np.bincount([slot.condition for slot in session], minlength=num_conditions)
        assert heard.max() - heard.min() <= 1
        whole = num_texts // num_conditions * num_conditions
        for i in range(0, whole, num_conditions):
            block = [slot.condition for slot in session[i : i + num_conditions]]
            assert set(block) == set(range(num_conditions))
        for condition in range(num_conditions):
            turned = [slot.is_turned for slot in session if slot.condition == condition]
            assert abs(2 * sum(turned) - len(turned)) <= 1


@given(num_texts=st.integers(1, 30), rounds=st.integers(1, 2), **NUMBERS)
def test_each_text_has_each_system_equally_often_and_either_way_round(
    num_texts: int, num_conditions: int, rounds: int, seed: int
) -> None:
    sessions = design.plan(num_texts, num_conditions, 2 * rounds * num_conditions, seed)
    heard = collections.Counter(slot for session in sessions for slot in session)
    assert set(heard.values()) == {rounds} and len(heard) == 2 * num_texts * num_conditions


def test_everything_follows_from_the_seed() -> None:
    assert design.plan(12, 3, 4, 1) == design.plan(12, 3, 4, 1)
    assert design.plan(12, 3, 4, 1) != design.plan(12, 3, 4, 2)
    first, second = design.plan(12, 3, 2, 1)
    assert [slot.text for slot in first] != [slot.text for slot in second]


@given(num_items=st.integers(1, 40), num_controls=st.integers(0, 15), seed=st.integers(0, 99))
def test_controls_and_repeats_are_spread(num_items: int, num_controls: int, seed: int) -> None:
    num_repeats = num_items // 2
    order = design.with_extras(num_items, num_controls, num_repeats, np.random.default_rng(seed))
    items = [i for role, i in order if role == "item"]
    assert items == list(range(num_items))
    assert sorted(i for role, i in order if role == "control") == list(range(num_controls))
    repeats = [i for role, i in order if role == "repeat"]
    assert len(repeats) == len(set(repeats)) == num_repeats
    assert all(order.index(("repeat", i)) > order.index(("item", i)) for i in repeats)


@given(num_blocks=st.integers(1, 4), **NUMBERS)
def test_systems_come_in_another_order_for_each_listener(
    num_blocks: int, num_conditions: int, seed: int
) -> None:
    """As many listeners as there are orders have all of them, in each block."""
    square = design.williams_square(num_conditions)
    sessions = design.plan(num_blocks * num_conditions, num_conditions, len(square), seed)
    for i in range(num_blocks):
        begin, end = i * num_conditions, (i + 1) * num_conditions
        orders = {tuple(slot.condition for slot in session[begin:end]) for session in sessions}
        assert orders == set(map(tuple, square.tolist()))
