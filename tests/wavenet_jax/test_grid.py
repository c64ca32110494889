"""The models of the grid that stand for all of them."""

import dataclasses
from typing import Any

import grid


def options(config: Any) -> set[tuple[Any, ...]]:
    """What is chosen, without the sizes of what is chosen."""
    found: set[tuple[Any, ...]] = set()
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), field.name
        if value is None or isinstance(value, (str, bool)) or name == "num_classes":
            found.add((name, value))
        elif name in ("kernel_size", "input_kernel_size", "hop_samples"):
            found.add((name, min(value, 3)))
        elif name == "context_stacks":
            found.add((name, len(value)))
            found |= {(name, *option) for stack in value for option in options(stack)}
        elif dataclasses.is_dataclass(value):
            found |= {(name, *option) for option in options(value)}
    return found


def test_the_covering_models_have_every_option() -> None:
    chosen = set().union(*(options(grid.CONFIGS[name]) for name in grid.COVERING))
    every = set().union(*map(options, grid.CONFIGS.values()))
    assert chosen == every
    assert len(grid.COVERING) <= len(grid.CONFIGS) / 2
