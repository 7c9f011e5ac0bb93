"""What stands between the network and the page, however the page looks: an ASGI application.

It answers for hosts of its own only, to pages of its own only, takes bodies of bounded size, in
bounded time, so many at once, and names no files but those that were uploaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import re
import socket
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from starlette.formparsers import MultiPartException

from system.files import parse_json
from web.kept import Coming, Uploads

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Got = TypeVar("Got")
App = Callable[[Message, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)

LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
EVERYWHERE = {"0.0.0.0", "::"}  # addresses to serve on that are of all networks

API = "/gradio_api"
UPLOAD = f"{API}/upload"
CALL = f"{API}/call/"
CALLS = (CALL, f"{API}/queue/join", f"{API}/cancel", f"{API}/reset", f"{API}/stream/")
# What would fetch for visitors, or keep something for them without a bound.
CLOSED = re.compile(rf"{API}/(proxy=|deep_link|file=[\w+.-]+:/)")

MOST_CALL_BYTES = 2_000_000  # a camera's frame fits
MOST_CALL_VALUES = 2_000  # numbers, texts, lists, … in it
FORM_BYTES = 100_000  # of an upload around the file itself
MOST_BODIES = 128  # that come in at once
GRACE = 20.0  # seconds without a byte that a body may take
HURRY = 2.0  # the same while others wait for its place
LOOK_SECONDS = 0.5  # after which it is looked again whether they do
SLOWEST = 20_000  # bytes a second
ROOM_SECONDS = 30.0  # that an upload waits until others make room
SEND_SECONDS = 60.0  # that a reader may take for a piece of an answer
LINGER_SECONDS = 5.0  # that a refused body is read, so that its sender sees the answer


class Refused(Exception):
    """A request that is not served: the HTTP status and words that say why."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass(frozen=True)
class Hosts:
    """The names by which the page is asked for.

    Attributes:
        served: address that it is served on.
        named: other names that it has, as behind a proxy.
    """

    served: str
    named: tuple[str, ...] = ()

    def knows(self, host: str) -> bool:
        """Whether ``name:port`` or ``name`` is the page's.

        Only names can be made to point here by strangers; addresses cannot. So a page for all
        networks is known by any address, and by the machine's own name.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if "@" in host:
            return False
        name = name.rstrip(".")
        if name in LOCAL_NAMES or name == self.served.lower() or self.names(name):
            return True
        if self.served in LOCAL_NAMES:
            return False
        return _is_address(name) or name == socket.gethostname().lower()

    def names(self, name: str) -> bool:
        """Whether a name is among those that were given."""
        return name.lower() in {each.lower() for each in self.named}

    def check(self, headers: dict[str, list[str]]) -> None:
        """Refuse what was sent to another name, or by another site's page."""
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not all(
            self.knows(host) for host in (*hosts, *headers.get("x-forwarded-host", ()))
        ):
            raise Refused(421, "this is not served by that name; see --allowed_hosts")
        for origin in headers.get("origin", ()):
            parts = _split(origin)
            own = parts is not None and parts.netloc.lower() == hosts[0].lower()
            if not own and not (parts is not None and self.names(parts.hostname or "")):
                raise Refused(403, "this page is not for other sites; see --allowed_hosts")


class Protection:
    """The page's application, protected.

    Args:
        app: of the page.
        hosts: its names.
        uploads: where uploads go, and room for them is made.
        megabytes: of an upload.
        functions: names of those that can be called.
        prefix: of the page's paths behind a proxy, such as ``/depth``; the proxy may leave it out.
    """

    def __init__(
        self,
        app: App,
        hosts: Hosts,
        uploads: Uploads,
        megabytes: int,
        functions: Collection[str],
        prefix: str = "",
    ) -> None:
        self.app, self.hosts, self.uploads, self.functions = app, hosts, uploads, functions
        self.megabytes, self.prefix = megabytes, prefix.rstrip("/")
        self._bodies = self._waiting = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI says."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        answer = Answer(send)
        body = Body(receive, lambda: self._waiting > 0)
        try:
            headers = _headers(scope)
            self.hosts.check(headers)
            await self._serve(_without_prefix(scope, self.prefix), headers, body, answer)
        except Refused as error:
            await answer.refuse(error, body)

    async def _serve(
        self, scope: Message, headers: dict[str, list[str]], body: Body, answer: Answer
    ) -> None:
        path, method = scope["path"], scope["method"]
        if CLOSED.match(path):
            raise Refused(404, "there is nothing here")
        if method in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, body.receive, answer)
            return
        if method != "POST" or not (path.rstrip("/") == UPLOAD or path.startswith(CALLS)):
            raise Refused(405, "there is nothing to send this to")
        if path.startswith(CALL) and path.rstrip("/").rpartition("/")[2] not in self.functions:
            raise Refused(404, "there is no function of that name")
        await self._turn(self._take_place)
        try:
            if path.rstrip("/") == UPLOAD:
                await self._upload(scope, _length(headers), body, answer)
                return
            content = await body.whole(_length(headers))
        finally:
            self._bodies -= 1
        _check_call(content, self.uploads.folder)
        await self.app(scope, body.receive, answer)

    async def _upload(self, scope: Message, size: int | None, body: Body, answer: Answer) -> None:
        if size is None:
            raise Refused(411, "an upload must say how long it is (Content-Length)")
        most = self.megabytes * 1_000_000
        if size > most + FORM_BYTES:
            raise Refused(
                413, f"this exceeds the maximum allowed size of {self.megabytes} megabytes"
            )
        coming = await self._make_room(size)
        try:
            await self.app(scope, body.form, answer.unless(body))
        finally:
            self.uploads.release(coming, body.read)
        if body.failure is not None:
            raise body.failure

    async def _make_room(self, size: int) -> Coming:
        return await self._turn(lambda: asyncio.to_thread(self.uploads.reserve, size))

    async def _take_place(self) -> bool | None:
        if self._bodies >= MOST_BODIES:
            return None
        self._bodies += 1
        return True

    async def _turn(self, ask: Callable[[], Awaitable[Got | None]]) -> Got:
        """What is asked for, as soon as there is any; those that wait hurry the others."""
        got = await ask()
        if got is not None:
            return got
        self._waiting += 1
        try:
            end = time.monotonic() + ROOM_SECONDS
            while time.monotonic() < end:
                await asyncio.sleep(LOOK_SECONDS / 5)
                got = await ask()
                if got is not None:
                    return got
        finally:
            self._waiting -= 1
        raise Refused(503, "too many are sending at once; try again")


class Body:
    """What a client sends, in bounded time; what was read whole can be received again.

    Args:
        receive: of ASGI.
        hurried: whether others wait.

    Attributes:
        read: bytes that have come.
    """

    def __init__(self, receive: Receive, hurried: Callable[[], bool]) -> None:
        self._receive, self._hurried, self.read, self._waited = receive, hurried, 0, 0.0
        self._again: list[Message] = []
        self.ended, self.failure = False, None

    async def receive(self) -> Message:
        """The next message, without a bound; after :meth:`whole`, all of the body first."""
        return self._again.pop() if self._again else await self._receive()

    async def next(self) -> Message:
        """The next part of the body.

        Raises:
            Refused: it does not come, or too slowly.
        """
        most = min(GRACE, GRACE + self.read / SLOWEST - self._waited)
        started, coming = time.monotonic(), asyncio.ensure_future(self._receive())
        try:
            while not coming.done():
                left = (min(HURRY, most) if self._hurried() else most) + started - time.monotonic()
                if left <= 0:
                    raise Refused(408, "this came too slowly; try again")
                await asyncio.wait([coming], timeout=min(left, LOOK_SECONDS))
        finally:
            coming.cancel()
        message = coming.result()
        self._waited += time.monotonic() - started
        self.read += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)
        return message

    async def form(self) -> Message:
        """Like :meth:`next`, for a reader of forms, which clears up after this exception alone."""
        if self.ended:
            return await self._receive()
        try:
            message = await self.next()
            if message["type"] != "http.request":
                raise Refused(400, "the client went away")
            return message
        except Refused as error:
            self.failure = error
            raise MultiPartException(error.words) from error

    async def whole(self, size: int | None) -> bytes:
        """All of a body that says that it has ``size`` bytes, or does not say.

        Raises:
            Refused: it is too large, or does not come.
        """
        parts: list[bytes] = []
        if size is not None and size > MOST_CALL_BYTES:
            raise Refused(413, f"a call has {MOST_CALL_BYTES} bytes at most; upload files")
        while not self.ended:
            message = await self.next()
            if message["type"] != "http.request":
                raise Refused(400, "the client went away")
            parts.append(message.get("body", b""))
            if self.read > MOST_CALL_BYTES:
                raise Refused(413, f"a call has {MOST_CALL_BYTES} bytes at most; upload files")
        content = b"".join(parts)
        self._again = [{"type": "http.request", "body": content, "more_body": False}]
        return content

    async def drain(self) -> None:
        """Read on for a while, and forget it."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._drain(), LINGER_SECONDS)

    async def _drain(self) -> None:
        while not self.ended:
            message = await self._receive()
            self.ended = not message.get("more_body", False)


class Answer:
    """What a client is sent, each piece in bounded time."""

    def __init__(self, send: Send) -> None:
        self._send, self.started = send, False

    async def __call__(self, message: Message) -> None:
        """Send a message, as ASGI says."""
        self.started = True
        try:
            await asyncio.wait_for(self._send(message), SEND_SECONDS)
        except asyncio.TimeoutError:
            raise ConnectionError("the client does not read its answer") from None

    def unless(self, body: Body) -> Send:
        """A sender of what does not come too late, after the body has failed."""

        async def send(message: Message) -> None:
            if body.failure is None:
                await self(message)

        return send

    async def refuse(self, error: Refused, body: Body) -> None:
        """Send a refusal, and let the client get it although it may still be sending."""
        if self.started:
            return
        content = json.dumps({"detail": error.words}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        if error.status == 503:
            headers.append((b"retry-after", b"5"))
        await self({"type": "http.response.start", "status": error.status, "headers": headers})
        await self({"type": "http.response.body", "body": content, "more_body": True})
        await body.drain()
        await self({"type": "http.response.body", "body": b""})


def _check_call(content: bytes, folder: Path) -> None:
    """Refuse a call that is no bounded JSON, or names a file that was not uploaded."""
    try:
        value = parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise Refused(400, f"this is no JSON that is read here ({error})") from None
    waiting, count = [value], 0
    while waiting:
        count += 1
        each = waiting.pop()
        if isinstance(each, dict):
            path = each.get("path")
            if isinstance(path, str) and path and not _is_within(path, folder):
                raise Refused(400, "this names a file that was not uploaded here")
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        if count + len(waiting) > MOST_CALL_VALUES:
            raise Refused(413, f"a call has {MOST_CALL_VALUES} values at most")


def _is_within(path: str, folder: Path) -> bool:
    try:
        return Path(path).resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _split(origin: str) -> Any:
    """The parts of an Origin of the web; None for any other, such as ``null``."""
    try:
        parts = urlsplit(origin)
        return parts if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def _headers(scope: Message) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _length(headers: dict[str, list[str]]) -> int | None:
    text = headers.get("content-length", [""])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _without_prefix(scope: Message, prefix: str) -> Message:
    path = scope["path"]
    if not prefix or not (path == prefix or path.startswith(f"{prefix}/")):
        return scope
    raw = scope.get("raw_path") or path.encode()
    short = raw[len(prefix) :] if raw.startswith(prefix.encode()) else raw
    return {**scope, "path": path[len(prefix) :] or "/", "raw_path": short or b"/"}
