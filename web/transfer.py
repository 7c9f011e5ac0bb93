"""What a client sends and is sent, in bounded time and size, whatever it is about."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.formparsers import MultiPartException

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MOST_CALL_BYTES = 2_000_000  # of a body that is read whole; a camera's frame fits
GRACE = 20.0  # seconds without a byte that a body may take
HURRY = 2.0  # the same while others wait for its place
LOOK_SECONDS = 0.5  # after which it is looked again whether they do
SLOWEST = 20_000  # bytes a second
SEND_SECONDS = 60.0  # that a reader may take for a piece of an answer
LINGER_SECONDS = 5.0  # that a refused body is read, so that its sender sees the answer


class Refused(Exception):
    """A request that is not served: the HTTP status and words that say why."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


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
