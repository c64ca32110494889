"""Listeners in a line: the first is served, the others are told how many are before them."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType


class Line:
    """Places in the order in which they were taken; of one event loop."""

    def __init__(self) -> None:
        self._places: list[Place] = []

    def join(self) -> "Place":
        """A place at the end, which `with` gives up again."""
        place = Place(self)
        self._places.append(place)
        return place

    def before(self, place: "Place") -> int:
        """How many places are before one."""
        return self._places.index(place)

    def leave(self, place: "Place") -> None:
        """Takes a place away, and lets the others see."""
        if place in self._places:
            self._places.remove(place)
            for each in self._places:
                each.moved.set()


class Place:
    """A place in a line.

    Attributes:
      moved: set when somebody has left the line.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self.moved = asyncio.Event()

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.leave(self)

    async def before(self) -> AsyncIterator[int]:
        """How many are before it, each time that this has changed, until none is."""
        said = 0
        while before := self._line.before(self):
            if before != said:
                yield before
                said = before
            self.moved.clear()
            await self.moved.wait()
