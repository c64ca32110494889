"""Who is let in to a page that a program serves, and what a request may bring."""

import asyncio
import importlib
import pathlib
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from experiments.common import web
from wavenet_jax import InputError

TOKEN = "0123456789abcdef"
PLACES = ["/", "/echo", "/nowhere", "/../../etc/passwd", "/?x=1", "/kept"]


class Page:
    """A guarded app that counts what reaches it."""

    def __init__(self, **options: Any) -> None:
        self.reached: list[str] = []

        async def echo(request: Request) -> Response:
            self.reached.append(request.scope["path"])
            return PlainTextResponse(await request.body())

        async def kept(request: Request) -> Response:
            return JSONResponse({}, headers={"cache-control": "private"})

        routes = [Route(path, echo, methods=["GET", "POST"]) for path in ("/", "/echo")]
        app = Starlette(routes=[*routes, Route("/kept", kept)])
        self.guard = web.Guard(app, TOKEN, **options)
        self.client = TestClient(self.guard)

    def enter(self) -> TestClient:
        assert self.client.get(f"/?token={TOKEN}").status_code == 200
        self.reached.clear()
        return self.client


def test_the_link_lets_in_and_then_a_cookie() -> None:
    page = Page()
    answer = page.client.get(f"/?token={TOKEN}")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.endswith("; Path=/; SameSite=Strict; HttpOnly")
    answer = page.client.post("/echo", content=b"sound")
    assert answer.content == b"sound" and "set-cookie" not in answer.headers
    # Another page of the same host has a cookie of another name.
    others = web.Guard(Starlette(), "another-token-than-that")
    assert others._set_cookie.split("=")[0] != cookie.split("=")[0]
    secure = Page(public_url="https://name.example").client.get(f"/?token={TOKEN}")
    assert "; Secure" in secure.headers["set-cookie"]


@pytest.mark.parametrize(
    "given",
    [
        *("", "?token=", "?token=0123456789abcdeg", f"?token={TOKEN}0", f"?Token={TOKEN}"),
        *("?token=%ff%00", f"?token=x&token={TOKEN}"),
        "?" + "&".join(f"a{i}=1" for i in range(50)) + f"&token={TOKEN}",
    ],
)
def test_nobody_else_is_let_in(given: str) -> None:
    page = Page()
    for path in PLACES:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            separator = given.replace("?", "&", 1) if "?" in path else given
            answer = page.client.request(method, path + separator, content=b"x")
            assert answer.status_code == 403
            assert answer.text == "The link is not complete: use it as it was given.\n"
            assert "set-cookie" not in answer.headers
    for cookie in (f"page={TOKEN}", f"page_00000000={TOKEN}", "page", "=;;==", TOKEN):
        assert page.client.get("/", headers={"cookie": cookie}).status_code == 403
    assert page.reached == []


def test_a_name_that_was_led_here_is_refused() -> None:
    """DNS rebinding: the browser believes that evil.example is 127.0.0.1."""
    page = Page(hosts={"localhost", "127.0.0.1", "::1"}, public_url="https://Name.example:444")
    for host in ("localhost", "127.0.0.1:80", "[::1]:8000", "LOCALHOST:1", "name.example"):
        link = f"/?token={TOKEN}"
        assert page.client.get(link, headers={"host": host}).status_code == 200, host
    page.reached.clear()
    for host in ("evil.example", "", "127.0.0.1.evil.example", "[::1", "localhost@evil.example"):
        answer = page.client.get(f"/?token={TOKEN}", headers={"host": host})
        assert answer.status_code == 403, host
        assert (
            answer.text.startswith("This name does not lead to the page")
            and answer.text.count("\n") == 1
        )
    assert page.reached == []
    anybody = Page(hosts=None).client.get(f"/?token={TOKEN}", headers={"host": "any.example"})
    assert anybody.status_code == 200


def test_no_other_page_asks_in_its_name() -> None:
    for page in (Page(), Page(public_url="http://name.example")):
        client = page.enter()
        for origin in ("null", "http://evil.example", "http://testserver:81", "http://[", ""):
            assert client.post("/echo", headers={"origin": origin}).status_code == 403, origin
        assert page.reached == []
    for origin in ("http://testserver", "http://name.example"):
        assert client.post("/echo", headers={"origin": origin}).status_code == 200
    assert client.get("/", headers={"origin": "http://evil.example"}).status_code == 200


def test_every_answer_allows_nothing_from_elsewhere() -> None:
    page = Page()
    client = page.enter()
    for path, status in (("/", 200), ("/nowhere", 404), ("/kept", 200)):
        answer = client.get(path)
        assert answer.status_code == status
        for name, value in web.HEADERS.items():
            expected = "private" if (path, name) == ("/kept", "cache-control") else value
            assert answer.headers.get_list(name) == [expected]
    assert "default-src 'none'" in web.HEADERS["content-security-policy"]
    assert TestClient(page.guard).get("/").headers["x-content-type-options"] == "nosniff"


def ask(guard: web.Guard, chunks: Sequence[bytes | None], **headers: str) -> tuple[int, int]:
    """Sends a body in pieces, None for silence; gives the status and how many pieces were read."""
    read = 0
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal read
        if read >= len(chunks):
            return {"type": "http.disconnect"}
        chunk = chunks[read]
        read += 1
        if chunk is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": chunk, "more_body": read < len(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"host": "localhost", "cookie": f"{guard._cookie}={TOKEN}", **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/echo",
        "query_string": b"",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in given.items()],
    }
    asyncio.run(guard(scope, receive, send))
    return (sent[0]["status"] if sent else 0), read


def test_bodies_are_bounded_before_they_are_read(monkeypatch) -> None:
    page = Page(max_body_bytes=1000)
    assert ask(page.guard, [b"x" * 500, b"x" * 500]) == (200, 2)
    assert ask(page.guard, [b"x"], content_length="1001") == (413, 0)
    assert ask(page.guard, [b"x"], content_length="9" * 5000) == (413, 0)
    assert ask(page.guard, [b"x"], content_length="-1") == (413, 0)
    # One that does not say how long it is, or lies, and never ends.
    assert ask(page.guard, [b"x" * 400] * 10**5) == (413, 3)
    assert ask(page.guard, [b"x" * 400] * 10**5, content_length="10") == (413, 3)
    assert ask(page.guard, [b""] * 3 + [b"x"]) == (200, 4)
    monkeypatch.setattr(web, "BODY_S", 0.05)
    assert ask(page.guard, [b"x", None]) == (408, 2)
    assert len(page.reached) == 2


def test_who_goes_away_is_not_answered() -> None:
    page = Page()
    guard = page.guard
    status, _ = ask(guard, [])
    assert status == 0 and page.reached == []


def test_a_megabyte_is_refused_and_many_requests_are_not() -> None:
    page = Page()
    client = page.enter()
    assert client.post("/echo", content=b"x" * 2**20).status_code == 413
    for _ in range(100):
        assert client.post("/echo", content=b"x" * 100).status_code == 200
    assert len(page.reached) == 100


def test_a_token_is_kept_for_its_owner(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    token = web.kept_token(path)
    assert web.TOKEN.fullmatch(token) and web.kept_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert web.new_token() != web.new_token()
    for content in ("", "short", "a" * 65, "a" * 15 + "é", "a b" * 10):
        path.write_text(content)
        with pytest.raises(InputError, match="token holds no token: take the file away"):
            web.kept_token(path)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


def test_what_cannot_be_served_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            InputError, match=rf"at 127.0.0.1, port {port} \(Address already in use"
        ):
            web.serve(nothing, host="127.0.0.1", port=port, others_can="listen")
    for host in ("nowhere.invalid", "a b", "x" * 300):
        with pytest.raises(InputError, match="leads nowhere|Nothing can be served"):
            web.serve(nothing, host=host, port=0, others_can="listen")
    for url in (
        "name.example",
        "ftp://name",
        "https://",
        "https://a@b",
        "https://a/?b",
        "http://[",
    ):
        with pytest.raises(InputError, match="--public_url is .*: give the address that leads"):
            web.serve(nothing, host="127.0.0.1", port=0, others_can="listen", public_url=url)


def test_a_signal_before_the_server_runs_is_not_lost(monkeypatch) -> None:
    run = web.uvicorn.Server.run

    def signalled(self: web.uvicorn.Server, sockets: list[socket.socket]) -> None:
        signal.raise_signal(signal.SIGTERM)
        run(self, sockets)

    monkeypatch.setattr(web.uvicorn.Server, "run", signalled)
    before = signal.getsignal(signal.SIGTERM)
    web.serve(nothing, host="127.0.0.1", port=0, others_can="listen")
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("package", ["uvicorn", "starlette.types"])
def test_without_the_extra_the_remedy_is_named(package: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "experiments.common.web")
    with pytest.raises(InputError, match=r"pip install -e '\.\[app\]' has it\.$"):
        importlib.import_module("experiments.common.web")


@pytest.mark.parametrize(
    ("host", "public_url", "link", "says"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:", ""),
        ("0.0.0.0", None, f"http://{socket.gethostname()}:", "--host=0.0.0.0 is open to everybody"),
        ("127.0.0.1", "https://name.example/", "https://name.example/?token=", ""),
    ],
)
def test_the_link_and_who_can_follow_it(host, public_url, link, says, monkeypatch, capsys) -> None:
    monkeypatch.setattr(web.uvicorn.Server, "run", lambda self, sockets: None)
    web.serve(nothing, host=host, port=0, others_can="take the test", public_url=public_url)
    printed = capsys.readouterr()
    assert printed.out.startswith(link) and printed.out.count("\n") == 1
    assert web.TOKEN.fullmatch(printed.out.strip().partition("?token=")[2])
    assert printed.err.startswith(says) and printed.err.count("\n") == bool(says)
    assert not says or "they can take the test" in printed.err
