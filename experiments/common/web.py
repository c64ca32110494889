"""Pages that a program serves to browsers: who may ask, how much, and what a page may load.

A link with a random token leads to the page. Whoever has the link is let in; to all others every
path is 403. The page loads nothing from elsewhere, and no page from elsewhere asks in its name.
"""

import asyncio
import hashlib
import ipaddress
import os
import pathlib
import re
import secrets
import signal
import socket
import sys
import types
import urllib.parse
from collections.abc import Iterable, Sequence

from wavenet_jax import InputError

try:
    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as missing:
    raise InputError(
        f"{missing.name} is not installed, which pages need: pip install -e '.[app]' has it."
    ) from missing

MAX_BODY_BYTES = 2**16
BODY_S = 30
"""In which a request's body has to come."""

MAX_CONNECTIONS = 512
ENDING_S = 3
"""For what is under way when the server ends."""

TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every response; the app may give another `cache-control`."""


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(16)


def kept_token(path: pathlib.Path) -> str:
    """The token in a file, made where there is none, so that a link outlives the server.

    Raises:
      InputError: the file holds something else.
      OSError: it cannot be read or written.
    """
    if not path.exists():
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_token() + "\n")
        part.replace(path)
    token = path.read_text(encoding="utf-8", errors="replace")[:100].strip()
    if not TOKEN.fullmatch(token):
        raise InputError(f"{path} holds no token: take the file away, and links will be new.")
    return token


class Guard:
    """An app behind a token, with bounded bodies and the headers of `HEADERS`.

    The token comes as the query's `token` at first, and then in a cookie that scripts cannot
    read and other sites' pages do not send.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        *,
        hosts: Iterable[str] | None = None,
        public_url: str = "",
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """Wraps an app.

        Args:
          app: ASGI.
          token: that requests need.
          hosts: names in the header Host that are accepted, or None for all. On localhost it keeps
            a page from reaching the app by a name that it has led to 127.0.0.1 (DNS rebinding).
          public_url: of a tunnel that leads here; its name is accepted.
          max_body_bytes: of a request.
        """
        public = urllib.parse.urlsplit(public_url)
        self._app, self._token, self._max_body_bytes = app, token.encode(), max_body_bytes
        self._hosts = None if hosts is None else {*hosts, *filter(None, [public.hostname])}
        self._public = public.netloc.lower()
        # A cookie holds for all ports of a host: each page has a name of its own.
        self._cookie = "page_" + hashlib.sha256(self._token).hexdigest()[:8]
        self._set_cookie = f"{self._cookie}={token}; Path=/; SameSite=Strict; HttpOnly"
        self._set_cookie += "; Secure" * (public.scheme == "https")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"requests are http, and this is {scope['type']!r}")
        headers = _headers(scope)
        sets_cookie = self._is_token(_of_query(scope))
        answer = _with_headers(send, self._set_cookie if sets_cookie else "")
        if refusal := self._refusal(scope, headers, sets_cookie):
            await _say(answer, 403, refusal)
            return
        try:
            async with asyncio.timeout(BODY_S):
                body = await _read_body(headers, receive, self._max_body_bytes)
        except TimeoutError:
            await _say(answer, 408, f"The request did not come within {BODY_S} s.")
            return
        except ConnectionError:
            return  # nobody is there any more
        if body is None:
            await _say(answer, 413, f"A request has up to {self._max_body_bytes} bytes.")
            return
        await self._app(scope, _replayed(body, receive), answer)

    def _refusal(self, scope: Scope, headers: dict[str, str], has_token: bool) -> str:
        """Why a request is refused, a sentence, or ""."""
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return "This name does not lead to the page: use the link as it was given."
        if not has_token and not any(map(self._is_token, _of_cookies(headers, self._cookie))):
            return "The link is not complete: use it as it was given."
        # A page on another port of the host is of the same site for cookies, but not here.
        origin = headers.get("origin")
        own = {host.lower(), self._public} - {""}
        is_foreign = origin is not None and _netloc(origin) not in own
        if is_foreign and scope["method"] not in ("GET", "HEAD"):
            return "Another page has made this request: use the page itself."
        return ""

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token)


def _headers(scope: Scope) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }


def _of_query(scope: Scope) -> str:
    try:
        fields = urllib.parse.parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8)
    except ValueError:
        return ""
    return fields.get("token", [""])[0]


def _of_cookies(headers: dict[str, str], name: str) -> Sequence[str]:
    pairs = (each.strip().partition("=") for each in headers.get("cookie", "").split(";"))
    return [value for key, _, value in pairs if key == name]


def _name(host: str) -> str:
    """The name in a header Host, without the port."""
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _netloc(origin: str) -> str:
    try:
        return urllib.parse.urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _with_headers(send: Send, set_cookie: str) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            given += [
                (name.encode(), value.encode())
                for name, value in HEADERS.items()
                if name.encode() not in names
            ]
            given += [(b"set-cookie", set_cookie.encode())] if set_cookie else []
            message = {**message, "headers": given}
        await send(message)

    return answer


async def _say(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode() + b"\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what was not read would be taken for the next request
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read_body(headers: dict[str, str], receive: Receive, limit: int) -> bytes | None:
    """The body, or None if it is too large, of which no more is read.

    Raises:
      ConnectionError: it did not come whole.
    """
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > limit:
        return None
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    left = [body]

    async def replay() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()  # that the other side has gone

    return replay


class _Server(uvicorn.Server):
    """Remembers which signal has stopped it."""

    stopped_by = 0

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        self.stopped_by = sig
        super().handle_exit(sig, frame)


def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    others_can: str,
    token: str | None = None,
    public_url: str | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> None:
    """Serves an app until SIGTERM, with its link on stdout.

    Args:
      app: ASGI, not yet behind a `Guard`.
      host: name or address to listen at; of this machine alone by 127.0.0.1.
      port: or 0 for any that is free.
      others_can: what those can do who have the link, after "can".
      token: of the link; a new one by default.
      public_url: of a tunnel or proxy that leads here, which the link then names.
      max_body_bytes: of a request.

    Raises:
      InputError: nothing can be served there.
      KeyboardInterrupt: Ctrl-C, after what was under way.
    """
    if public_url is not None:
        public_url = _checked(public_url)
    token = token or new_token()
    listening = _bound(host, port)
    address, port = listening.getsockname()[:2]
    is_local = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    hosts = {"localhost", "127.0.0.1", "::1", host.lower()} if is_local else None
    guarded = Guard(
        app, token, hosts=hosts, public_url=public_url or "", max_body_bytes=max_body_bytes
    )
    config = uvicorn.Config(
        guarded,
        loop="asyncio",
        http="h11",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,  # addresses are nobody's business
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=ENDING_S,
    )
    if not is_local:
        print(
            f"--host={host} is open to everybody who reaches this machine there: with the link "
            f"they can {others_can}, and without a tunnel or proxy of https others on the way can "
            "read it.",
            file=sys.stderr,
            flush=True,
        )
    link = public_url or _url(address if is_local else host, port)
    server = _Server(config)
    # uvicorn takes both signals when it begins, and when it ends sends them on to what was there.
    before = signal.signal(signal.SIGTERM, server.handle_exit)
    try:
        print(f"{link}/?token={token}", flush=True)
        with listening:
            server.run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)
    if server.stopped_by == signal.SIGINT:
        raise KeyboardInterrupt


def _url(host: str, port: int) -> str:
    name = host
    try:
        if ipaddress.ip_address(host).is_unspecified:  # all addresses of this machine
            name = socket.gethostname()
    except ValueError:
        pass
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _checked(public_url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(public_url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_good = is_good and not (parts.query or parts.fragment or parts.username)
        is_good = is_good and public_url.isascii() and public_url.isprintable()
    except ValueError:
        is_good = False
    if not is_good:
        raise InputError(
            f"--public_url is {public_url!r}: give the address that leads here, such as "
            "https://name.example."
        )
    return public_url.rstrip("/")


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
      InputError: the address is not this machine's, or the port in use or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"--host is {host!r}, which leads nowhere: give an address of this machine, such as "
            "127.0.0.1."
        ) from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise InputError(
            f"Nothing can be served at {host}, port {port} ({error.strerror}): give another "
            "--port, or none for any that is free."
        ) from error
    return listening
