"""Listeners in a line."""

import asyncio

from experiments.speaking.line import Line


def test_places_are_told_and_given_up() -> None:
    async def wait(line: Line, name: str, told: list, seconds: float = 0.0) -> None:
        with line.join() as place:
            async for before in place.before():
                told.append((name, before))
            told.append((name, "served"))
            await asyncio.sleep(seconds)

    async def main() -> list:
        line, told = Line(), []
        first = asyncio.create_task(wait(line, "a", told, 3600))
        await asyncio.sleep(0)
        others = [asyncio.create_task(wait(line, name, told)) for name in "bcd"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others[1].cancel()  # c leaves while it waits
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, *others, return_exceptions=True)
        with line.join() as place:
            told += [before async for before in place.before()]
        return told

    told = asyncio.run(main())
    assert told == [
        ("a", "served"),
        *(("b", 1), ("c", 2), ("d", 3)),
        ("d", 2),
        ("b", "served"),
        *([("d", 1)] if ("d", 1) in told else []),  # b may be gone already
        ("d", "served"),
    ]
