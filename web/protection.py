"""What stands between the network and the page, however the page looks: an ASGI application.

It answers for hosts of its own only, to pages of its own only, takes bodies of bounded size, in
bounded time, so many at once, and names no files but those that were uploaded.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from system.files import parse_json
from web.kept import Coming, Uploads
from web.transfer import Answer, Body, Message, Receive, Refused, Send

Got = TypeVar("Got")
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}

API = "/gradio_api"
UPLOAD = f"{API}/upload"
CALL = f"{API}/call/"
CALLS = (CALL, f"{API}/queue/join", f"{API}/cancel", f"{API}/reset", f"{API}/stream/")
# What would fetch for visitors, or keep something for them without a bound.
CLOSED = re.compile(rf"{API}/(proxy=|deep_link|file=[\w+.-]+:/)")

MOST_CALL_VALUES = 2_000  # numbers, texts, lists, … in a call
FORM_BYTES = 100_000  # of an upload around the file itself
MOST_BODIES = 128  # that come in at once
ROOM_SECONDS = 30.0  # that a body waits until others make room
ASK_SECONDS = 0.1  # after which it asks again


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
                await asyncio.sleep(ASK_SECONDS)
                got = await ask()
                if got is not None:
                    return got
        finally:
            self._waiting -= 1
        raise Refused(503, "too many are sending at once; try again")


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
