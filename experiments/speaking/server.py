"""The app: what a browser asks for is generated, one listener at a time, and sent as it comes.

The answer to a wish is a sequence of messages. Each begins with its kind, a byte, and the number of
bytes that follow, 4 bytes, little-endian: of kind 0 a state in JSON, of kind 1 samples of 16 bits,
little-endian. Listeners wait in a line, and are told their place; whoever leaves is forgotten, and
what was being generated for them ends with its chunk.
"""

import asyncio
import concurrent.futures
import json
import pathlib
import struct
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from absl import logging
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import data
from experiments.common.prosody import MAX_SEMITONES, MAX_SPEED, MIN_SPEED
from experiments.speaking import wishes
from experiments.speaking.line import Line, Place
from experiments.speaking.models import OfferedModel
from experiments.speaking.wishes import Wish
from experiments.tasks.speech import Speech
from wavenet_jax import InputError

PAGE = pathlib.Path(__file__).parent / "page"
FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}

MAX_LISTENERS = 12
"""Who are served, wait, or still read what was generated for them."""

SEND_S = 30.0
"""In which a listener has to read what is sent."""

STATE, SAMPLES = 0, 1

Tell = Callable[[bytes | None], None]
"""Takes the messages of a response, and None after the last."""


class App:
    """Routes and what they share.

    Attributes:
      starlette: the app for `web.serve`.
      listeners: how many are served, wait, or still read.
    """

    def __init__(self, models: Mapping[str, OfferedModel]) -> None:
        self._models = models
        self._line = Line()
        self.listeners = 0
        # One generates; texts are prepared beside it, one at a time too.
        self._worker = concurrent.futures.ThreadPoolExecutor(1, "generate")
        self._front = concurrent.futures.ThreadPoolExecutor(1, "prepare")
        self.starlette = Starlette(
            routes=[
                *(Route(path, _sends(PAGE / name)) for path, name in FILES.items()),
                Route("/models", self._describe),
                Route("/speech", self._speak, methods=["POST"]),
                Route("/continuation", self._continue, methods=["POST"]),
            ],
            exception_handlers={404: _not_found, 405: _not_found},
        )

    def close(self) -> None:
        """Ends the threads and the models' processes."""
        for pool in (self._worker, self._front):
            pool.shutdown(cancel_futures=True)
        for model in self._models.values():
            model.close()

    async def _describe(self, request: Request) -> Response:
        del request
        return JSONResponse(
            {
                "models": [model.description() for model in self._models.values()],
                "max_characters": wishes.MAX_CHARACTERS,
                "max_upload_bytes": wishes.MAX_UPLOAD_BYTES,
                "max_continued_s": wishes.MAX_CONTINUED_S,
                "max_temperature": wishes.MAX_TEMPERATURE,
                "speeds": [MIN_SPEED, MAX_SPEED],
                "semitones": [-MAX_SEMITONES, MAX_SEMITONES],
            }
        )

    async def _speak(self, request: Request) -> Any:
        body = await request.body()
        return await self._answer(lambda: wishes.text_wish(body))

    async def _continue(self, request: Request) -> Any:
        body = await request.body()
        return await self._answer(lambda: wishes.recording_wish(request.query_params, body))

    def _begin(self, read: Callable[[], Wish]) -> tuple[OfferedModel, Speech]:
        wish = read()
        if wish.model not in self._models:
            known = ", ".join(self._models)
            raise InputError(f"There is no model {wish.model[:40]!r}: use one of {known}.")
        model = self._models[wish.model]
        if model.takes != wish.takes:
            raise InputError(f"The model {model.name} takes a {model.takes}: give it one.")
        return model, model.begin(wish)

    async def _answer(self, read: Callable[[], Wish]) -> Any:
        """A `Stream`, or a sentence with a status that says whose fault it is."""
        if self.listeners >= MAX_LISTENERS:
            return _sentence(
                503, f"{self.listeners} listeners are here already: try again in a minute."
            )
        self.listeners += 1
        place = self._line.join()
        try:
            loop = asyncio.get_running_loop()
            model, speech = await loop.run_in_executor(self._front, self._begin, read)
        except BaseException as error:
            self._forget(place)
            if isinstance(error, InputError | data.DataError):
                return _sentence(422, str(error))
            raise
        return Stream(
            lambda tell: self._generate(place, model, speech, tell), lambda: self._forget(place)
        )

    def _forget(self, place: Place) -> None:
        self._line.leave(place)
        self.listeners -= 1

    async def _generate(
        self,
        place: Place,
        model: OfferedModel,
        speech: Speech,
        tell: Tell,
    ) -> None:
        """Waits in the line, and generates, however slowly the listener reads."""
        loop, chunks = asyncio.get_running_loop(), speech.chunks
        try:
            with place:
                async for before in place.before():
                    tell(state_message(state="waiting", before=before))
                tell(
                    state_message(
                        state="begun",
                        sample_rate_hz=speech.sample_rate_hz,
                        num_samples=speech.num_samples,
                        primed_samples=speech.primed_samples,
                        share=model.share,
                    )
                )
                began_s, made = time.perf_counter(), 0
                while True:
                    chunk = await loop.run_in_executor(self._worker, next, chunks, None)
                    if chunk is None:
                        break
                    tell(message(SAMPLES, chunk.astype("<i2").tobytes()))
                    made += len(chunk)
                sound_s = (made - speech.primed_samples) / speech.sample_rate_hz
                model.note_share(sound_s, time.perf_counter() - began_s)
            tell(state_message(state="ended"))
        except (InputError, data.DataError) as error:
            tell(state_message(state="failed", sentence=str(error)))
        except Exception:
            logging.exception("The generation failed.")
            tell(state_message(state="failed", sentence="The generation failed: try again."))
        finally:
            # Behind the chunk that is being made, if any.
            self._worker.submit(getattr(chunks, "close", lambda: None))
            self._front.submit(model.rest)
            tell(None)


def message(kind: int, content: bytes) -> bytes:
    """A message of the stream."""
    return struct.pack("<BI", kind, len(content)) + content


def state_message(**fields: Any) -> bytes:
    """A message of the kind `STATE`."""
    return message(STATE, json.dumps(fields).encode())


class Stream:
    """A response of messages, which ends when the listener leaves or reads no more."""

    def __init__(
        self, generate: Callable[[Tell], Coroutine[Any, Any, None]], forget: Callable[[], None]
    ) -> None:
        """Args:
        generate: tells the messages of the body, and None after them.
        forget: called when the response has ended, whichever way.
        """
        self._generate, self._forget = generate, forget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ready: asyncio.Queue[bytes | None] = asyncio.Queue()
        generating = asyncio.create_task(self._generate(ready.put_nowait))
        ends = [asyncio.create_task(_send(ready, send)), asyncio.create_task(_left(receive))]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (generating, *ends):
                task.cancel()
            await asyncio.gather(generating, *ends, return_exceptions=True)
            self._forget()


async def _send(ready: asyncio.Queue[bytes | None], send: Send) -> None:
    """Sends messages until there are no more."""

    async def tell(**fields: Any) -> None:
        async with asyncio.timeout(SEND_S):
            await send(fields)

    kind = (b"content-type", b"application/octet-stream")
    await tell(type="http.response.start", status=200, headers=[kind])
    while (each := await ready.get()) is not None:
        await tell(type="http.response.body", body=each, more_body=True)
    await tell(type="http.response.body", body=b"")


async def _left(receive: Receive) -> None:
    """Returns when nobody is there any more."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _sends(path: pathlib.Path) -> Callable[[Request], Any]:
    async def send_file(request: Request) -> Response:
        del request
        return FileResponse(path)

    return send_file


async def _not_found(request: Request, error: Exception) -> Response:
    del request
    status = getattr(error, "status_code", 404)
    return _sentence(status, "There is nothing here: use the page itself.")


def _sentence(status: int, sentence: str) -> Response:
    return PlainTextResponse(sentence + "\n", status)
