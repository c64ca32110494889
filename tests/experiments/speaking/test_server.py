"""The app that speaks, asked by Starlette's client and by a real server's."""

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="Starlette is in the extra app")

import starlette.testclient

import data
from experiments.speaking import server, wishes
from experiments.speaking.models import OfferedModel
from experiments.speaking.server import App
from experiments.tasks.speech import Speech
from wavenet_jax import InputError

RATE_HZ = 1000


class Counting(OfferedModel):
    """A model that counts; as slow as it is told, and it notes what is generated and closed."""

    takes = "text"
    speakers = ()

    def __init__(self, name: str = "counts", chunk_s: float = 0.0) -> None:
        self.name, self.share, self.chunk_s = name, 2.0, chunk_s
        self.made = self.closed = self.rests = 0
        self.at_once = self.most_at_once = 0

    def description(self) -> dict[str, Any]:
        return {"name": self.name, "takes": self.takes}

    def begin(self, wish: Any) -> Speech:
        if wish.text == "unspeakable":
            raise data.DataError("it has no phones: give some words")
        number = len(wish.text.split())
        return Speech(RATE_HZ, 10 * number, self._chunks(wish.text.split()))

    def _chunks(self, words: list[str]) -> Iterator[np.ndarray]:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            for word in words:
                if word == "fails":
                    raise RuntimeError("a secret of the server")
                if word == "refused":
                    raise InputError("That is too much: ask for less.")
                time.sleep(self.chunk_s)
                self.made += 1
                yield np.full(10, self.made, np.int16)
        finally:
            self.at_once -= 1
            self.closed += 1

    def warm(self) -> None:
        pass

    def rest(self) -> None:
        self.rests += 1


def messages(body: bytes) -> list[Any]:
    """States, and samples."""
    found: list[Any] = []
    while body:
        kind, size = struct.unpack("<BI", body[:5])
        content, body = body[5 : 5 + size], body[5 + size :]
        is_state = kind == server.STATE
        found.append(json.loads(content) if is_state else np.frombuffer(content, "<i2").tolist())
    return found


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def app(model: Counting) -> Iterator[App]:
    made = App({model.name: model})
    yield made
    made.close()


@pytest.fixture
def client(app: App) -> Iterator[starlette.testclient.TestClient]:
    with starlette.testclient.TestClient(app.starlette) as made:
        yield made


def asked(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "counts", "text": text} | fields


def test_the_page_and_its_models(client) -> None:
    for path in server.FILES:
        answer = client.get(path)
        assert answer.status_code == 200 and len(answer.content) > 1000
    offered = client.get("/models").json()
    assert offered["models"] == [{"name": "counts", "takes": "text"}]
    assert offered["max_characters"] == wishes.MAX_CHARACTERS
    for path in ("/nothing", "/../server.py", "/%2e%2e/line.py", "/speech"):
        answer = client.get(path)
        assert answer.status_code in (404, 405) and "There is nothing here" in answer.text


def test_an_answer(client, model) -> None:
    answer = client.post("/speech", json=asked("one two three"))
    begun, *samples, ended = messages(answer.content)
    assert begun == {
        "state": "begun",
        "sample_rate_hz": RATE_HZ,
        "num_samples": 30,
        "primed_samples": 0,
        "share": 2.0,
    }
    assert samples == [[1] * 10, [2] * 10, [3] * 10] and ended == {"state": "ended"}
    deadline = time.monotonic() + 10
    while not (model.closed and model.rests) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (model.closed, model.rests) == (1, 1)


@pytest.mark.parametrize(
    ("path", "options", "sentence"),
    [
        ("/speech", {"json": asked("")}, "There is no text: give some words"),
        ("/speech", {"json": asked("unspeakable")}, "it has no phones: give some words"),
        ("/speech", {"json": asked("x" * 2**20)}, "has 1048576 characters, and at most 600 are sp"),
        ("/speech", {"json": asked("x", speed=9)}, "The speed is 9.0: give a number from 0.5 to 2"),
        ("/speech", {"json": asked("x", model="../x")}, "There is no model '../x': use one of cou"),
        ("/speech", {"content": b"\x00"}, "is no JSON"),
        ("/speech", {"content": b'{"model": "counts", "text": "x", "speed": NaN}'}, "speed is nan"),
        ("/continuation?model=counts", {"content": b"RIFF"}, "The model counts takes a text: give"),
        ("/continuation?model=counts&seconds=x", {}, "The field seconds is 'x': give a number"),
    ],
)
def test_refusals(client, model, path: str, options: dict, sentence: str) -> None:
    answer = client.post(path, **options)
    assert answer.status_code == 422 and sentence in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert not model.made
    # And the next is served.
    assert messages(client.post("/speech", json=asked("x")).content)[-1] == {"state": "ended"}


def test_what_fails_midway(client, caplog) -> None:
    *_, failed = messages(client.post("/speech", json=asked("one refused")).content)
    assert failed == {"state": "failed", "sentence": "That is too much: ask for less."}
    *_, failed = messages(client.post("/speech", json=asked("one fails")).content)
    assert failed == {"state": "failed", "sentence": "The generation failed: try again."}
    assert "a secret of the server" in caplog.text
    assert messages(client.post("/speech", json=asked("x")).content)[-1] == {"state": "ended"}


class Listener:
    """One who asks by ASGI, and may leave."""

    def __init__(self, app: App, text: str) -> None:
        self._left = asyncio.Event()
        self._body = json.dumps(asked(text)).encode()
        self.status, self.heard, self.reads = 0, b"", True
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": "POST",
            "path": "/speech",
            "raw_path": b"/speech",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [],
            "client": None,
            "server": None,
        }
        self.task = asyncio.create_task(app.starlette(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            body, self._body = self._body, b""
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        while not self.reads:
            await asyncio.sleep(0.01)
        self.heard += message.get("body", b"")

    def leave(self) -> None:
        self._left.set()

    def states(self) -> list[Any]:
        return [each for each in messages(self.heard) if isinstance(each, dict)]


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_four_at_once_are_served_in_turn(app, model) -> None:
    model.chunk_s = 0.01

    async def main() -> list[Listener]:
        listeners = []
        for _ in range(4):
            listeners.append(Listener(app, "a b c d e"))
            await asyncio.sleep(0.01)
        await asyncio.gather(*(listener.task for listener in listeners))
        return listeners

    listeners = asyncio.run(main())
    assert model.most_at_once == 1 and model.made == 20
    waited = []
    for number, listener in enumerate(listeners):
        told = messages(listener.heard)
        assert [each for each in told if isinstance(each, list)] == [
            [n] * 10 for n in range(5 * number + 1, 5 * number + 6)
        ]
        waited.append(
            [each["before"] for each in told if isinstance(each, dict) and "before" in each]
        )
    assert waited[:2] == [[], [1]]
    assert waited[2][0] == 2 and waited[3][0] == 3
    assert all(places == sorted(places, reverse=True) for places in waited)


@pytest.mark.parametrize("how", ["leave", "cancel"])
def test_who_leaves_is_forgotten(app, model, how: str) -> None:
    """Whether it is being served or waits: generation ends with the chunk, and the next begins."""
    model.chunk_s = 0.02

    async def main() -> None:
        served, waiting, last = (Listener(app, text) for text in ("a " * 200, "b " * 200, "c d"))
        await until(lambda: model.made > 2 and last.states())
        for listener in (waiting, served):
            listener.leave() if how == "leave" else listener.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener.task
        made = model.made
        await last.task
        assert model.made <= made + 1 + 2
        assert model.closed >= 2 and last.states()[-1] == {"state": "ended"}

    asyncio.run(main())


def test_who_does_not_read_keeps_nobody_waiting(app, model, monkeypatch) -> None:
    monkeypatch.setattr(server, "SEND_S", 0.5)

    async def main() -> None:
        first = Listener(app, "a b c")
        first.reads = False
        second = Listener(app, "d")
        await second.task
        assert second.states()[-1] == {"state": "ended"}
        await first.task  # it is given up
        assert not first.heard

    asyncio.run(main())


def test_the_line_is_bounded(app, model, monkeypatch) -> None:
    monkeypatch.setattr(server, "MAX_LISTENERS", 3)
    model.chunk_s = 0.02

    async def main() -> None:
        listeners = [Listener(app, "a b") for _ in range(3)]
        await until(lambda: all(each.status or each.heard for each in listeners))
        refused = Listener(app, "x")
        await refused.task
        assert refused.status == 503
        assert b"3 listeners are here already: try again in a minute." in refused.heard
        await asyncio.gather(*(each.task for each in listeners))
        again = Listener(app, "x")
        await again.task
        assert again.status == 200

    asyncio.run(main())


def test_texts_are_read_while_another_is_served(app, model) -> None:
    """A refusal does not wait for its turn."""
    model.chunk_s = 0.02

    async def main() -> None:
        served = Listener(app, "a " * 100)
        await until(lambda: model.made)
        refused = Listener(app, "unspeakable")
        await refused.task
        assert refused.status == 422 and not served.task.done()
        served.leave()
        await served.task

    asyncio.run(main())
