"""A listening test as a page: what the server gives to listeners, and takes from them.

GET  /                       the page; /page.css and /page.js
GET  /test                   the kind, the number of trials, whether another listener can come
GET  /loudness.wav           a sound to set the volume by
POST /session                {"listener": NAME or null}; the listener's name, the trials of its
                             session and those that are answered
GET  /sounds/LISTENER/NAME   a sound of the session
POST /answers                {"listener": NAME, "trial": 0, "answer": [4]}; the trials that are
                             answered

The page is given names of sounds, and never the systems, texts or roles of trials. Of listeners
nothing is stored but their answers. `common.web` stands before all this.
"""

import os
import pathlib
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from experiments.common import cli, in_use, web
from experiments.listening import answers, collecting, description
from experiments.listening.collecting import Collection, UnknownListenerError
from experiments.listening.description import MUSHRA, RECORDING, Test
from wavenet_jax import InputError

PAGE = pathlib.Path(__file__).parent / "page"
FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
TOKEN = "link_token"
"""A file beside the answers, so that the link stays over a restart."""

ENOUGH = "Enough people have taken part: thank you for coming."
UNKNOWN = "This session is not known here: load the page again."
NOT_STORED = "The answer could not be stored: it is kept in your browser, and sent again."


def serve(
    test_folder: str | os.PathLike[str],
    answers_folder: str | os.PathLike[str],
    *,
    host: str,
    port: int,
    public_url: str | None = None,
) -> None:
    """Serves a listening test until SIGTERM or Ctrl-C.

    Args:
      test_folder: that `prepare` wrote.
      answers_folder: for the answers; made if it is not there.
      host, port, public_url: as `web.serve`.

    Raises:
      InputError: the test or the answers cannot be used, another server has the folder, or nothing
        can be served there.
    """
    test_folder, folder = pathlib.Path(test_folder), pathlib.Path(answers_folder)
    test = description.read(test_folder)
    for name in test.sounds:
        if not (test_folder / name).is_file():
            raise InputError(f"{test_folder / name} is missing: copy it there, or prepare again.")
    cli.require_writable(folder)
    with in_use.held(folder):
        collection = collecting.open_folder(test, folder)
        web.serve(
            app(collection, test_folder, lambda: _say(collection)),
            host=host,
            port=port,
            public_url=public_url,
            others_can="take the test and hear its sounds",
            token=web.kept_token(folder / TOKEN),
            max_body_bytes=answers.MAX_LINE_BYTES,
        )


def _say(collection: Collection) -> None:
    print(
        f"{collection.num_finished} listeners have finished, of "
        f"{len(collection.test.sessions)} sessions.",
        flush=True,
    )


def app(
    collection: Collection,
    test_folder: pathlib.Path,
    on_finished: Callable[[], None] = lambda: None,
) -> Starlette:
    """The app, without the guard of `web`.

    Requests are worked off one after the other, each answer to the disk and back, so that nothing
    needs a lock.

    Args:
      collection: of the answers.
      test_folder: with the sounds.
      on_finished: called when a listener has answered the last trial.
    """
    test = collection.test
    contents = {path: ((PAGE / name).read_bytes(), kind) for path, (name, kind) in FILES.items()}
    for_loudness = test_folder / loudness_sound(test)

    async def page(request: Request) -> Response:
        content, kind = contents[request.scope["path"]]
        return Response(content, media_type=kind)

    async def about(request: Request) -> Response:
        return JSONResponse(
            {
                "test": test.id,
                "kind": test.kind,
                "sample_rate_hz": test.sample_rate_hz,
                "num_trials": len(test.sessions[0]),
                "is_open": collection.is_open,
            }
        )

    async def loudness(request: Request) -> Response:
        return _sound(for_loudness)

    async def join(request: Request) -> Response:
        try:
            name = answers.fields_of(await request.body(), {"listener"})["listener"]
        except ValueError as error:
            return _refused(400, f"The session cannot be given: {error}.")
        if name is None:
            try:
                name = collection.join()
            except OSError:
                return _refused(507, "No session can be given now: try again later.")
            if name is None:
                return _refused(410, ENOUGH)
        session = collection.session_of(_typed(name))
        return JSONResponse(
            {
                "listener": name,
                "trials": [
                    {"sounds": trial.sounds, "reference": trial.reference}
                    for trial in test.sessions[session]
                ],
                "answered": collection.answered(name),
            }
        )

    async def sound(request: Request) -> Response:
        session = collection.session_of(request.path_params["listener"])
        name = request.path_params["name"]
        if not any(name in (*trial.sounds, trial.reference) for trial in test.sessions[session]):
            return _refused(404, "The session has no such sound.")
        return _sound(test_folder / name)

    async def answer(request: Request) -> Response:
        try:
            given = answers.fields_of(await request.body(), {"listener", "trial", "answer"})
            name = _typed(given["listener"])
            is_new = collection.add(name, given["trial"], given["answer"])
        except ValueError as error:
            return _refused(400, f"The answer cannot be used: {error}.")
        except OSError:
            return _refused(507, NOT_STORED)
        if is_new and collection.is_finished(name):
            on_finished()
        return JSONResponse({"answered": collection.answered(name)})

    async def unknown(request: Request, error: Exception) -> Response:
        return _refused(404, UNKNOWN)

    return Starlette(
        routes=[
            *(Route(path, page) for path in FILES),
            Route("/test", about),
            Route("/loudness.wav", loudness),
            Route("/session", join, methods=["POST"]),
            Route("/sounds/{listener}/{name}", sound),
            Route("/answers", answer, methods=["POST"]),
        ],
        exception_handlers={UnknownListenerError: unknown},
    )


def loudness_sound(test: Test) -> str:
    """The name of a sound to set the volume by: a recording, where the test has one."""
    recordings = [name for name, sound in sorted(test.sounds.items()) if sound.system == RECORDING]
    if test.kind == MUSHRA:  # the open one, so that nothing tells the hidden one
        recordings = [trial.reference for trial in test.sessions[0]]
    return (recordings or sorted(test.sounds))[0]


def _typed(name: object) -> str:
    """A listener's name, if it is text."""
    if not isinstance(name, str):
        raise UnknownListenerError
    return name


def _refused(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


def _sound(path: pathlib.Path) -> Response:
    return FileResponse(
        path, media_type="audio/wav", headers={"cache-control": "private, max-age=86400"}
    )
