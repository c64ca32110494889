"""The app: what a browser asks for is generated, one listener at a time, and sent as it comes.

The answer to a wish is a sequence of messages. Each begins with its kind, a byte, and the number of
bytes that follow, 4 bytes, little-endian: of kind 0 a state in JSON, of kind 1 samples of 16 bits,
little-endian. Listeners wait in a line, and are told their place; whoever leaves is forgotten, and
what was being generated for them ends with its chunk.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import pathlib
import struct
from collections.abc import AsyncIterator, Callable, Mapping
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
from experiments.speaking.models import ContinuingModel, OfferedModel, TextModel
from experiments.tasks.speech import Speech
from wavenet_jax import InputError

PAGE = pathlib.Path(__file__).parent / "page"
FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}

MAX_LISTENERS = 12
"""Who are served, wait, or still read what was generated for them."""

SEND_S = 30.0
"""In which a listener has to read what is sent."""

STATE, SAMPLES = 0, 1


class App:
    """Routes and what they share."""

    def __init__(self, models: Mapping[str, OfferedModel]) -> None:
        self._models = models
        self._line = Line()
        self._listeners = 0
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

        def begin() -> tuple[OfferedModel, Speech]:
            wish = wishes.text_wish(body)
            model = self._model(wish.model)
            if not isinstance(model, TextModel):
                raise InputError(f"The model {wish.model} speaks no text: give it a recording.")
            return model, model.begin(wish)

        return await self._answer(begin)

    async def _continue(self, request: Request) -> Any:
        body = await request.body()

        def begin() -> tuple[OfferedModel, Speech]:
            wish = wishes.recording_wish(request.query_params)
            model = self._model(wish.model)
            if not isinstance(model, ContinuingModel):
                raise InputError(f"The model {wish.model} takes no recording: give it a text.")
            return model, model.begin(wish, wishes.read_recording(body, model.sample_rate_hz))

        return await self._answer(begin)

    def _model(self, name: str) -> OfferedModel:
        if name not in self._models:
            raise InputError(f"There is no model {name[:40]!r}: use one of {list(self._models)}.")
        return self._models[name]

    async def _answer(self, begin: Callable[[], tuple[OfferedModel, Speech]]) -> Any:
        """A `Stream`, or a sentence with a status that says whose fault it is."""
        if self._listeners >= MAX_LISTENERS:
            return _sentence(
                503, f"{self._listeners} listeners are here already: try again in a minute."
            )
        self._listeners += 1
        place = self._line.join()
        try:
            loop = asyncio.get_running_loop()
            model, speech = await loop.run_in_executor(self._front, begin)
        except BaseException as error:
            self._line.leave(place)
            self._listeners -= 1
            if isinstance(error, InputError | data.DataError):
                return _sentence(422, str(error))
            raise
        return Stream(self._messages(place, model, speech), self._forget)

    def _forget(self) -> None:
        self._listeners -= 1

    async def _messages(
        self, place: Place, model: OfferedModel, speech: Speech
    ) -> AsyncIterator[bytes]:
        """What a listener is told. Generation does not wait for who reads slowly."""
        ready: asyncio.Queue[bytes | None] = asyncio.Queue()
        generating = asyncio.create_task(self._generate(place, model, speech, ready.put_nowait))
        try:
            while (message := await ready.get()) is not None:
                yield message
        finally:
            generating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await generating

    async def _generate(
        self,
        place: Place,
        model: OfferedModel,
        speech: Speech,
        tell: Callable[[bytes | None], None],
    ) -> None:
        """Waits in the line, and generates."""
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
                while True:
                    chunk = await loop.run_in_executor(self._worker, next, chunks, None)
                    if chunk is None:
                        break
                    tell(message(SAMPLES, chunk.astype("<i2").tobytes()))
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

    def __init__(self, messages: AsyncIterator[bytes], forget: Callable[[], None]) -> None:
        """Args:
        messages: of which the body is made.
        forget: called when it has ended, whichever way.
        """
        self._messages, self._forget = messages, forget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tasks = [asyncio.create_task(self._send(send)), asyncio.create_task(_left(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._forget()

    async def _send(self, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/octet-stream")],
        }
        async with contextlib.aclosing(self._messages) as messages:  # type: ignore[type-var]
            await send(start)
            async for each in messages:
                async with asyncio.timeout(SEND_S):
                    await send({"type": "http.response.body", "body": each, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


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
