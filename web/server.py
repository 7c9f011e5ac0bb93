"""Serve an application over HTTP: as many connections as are good, none that only waits."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from system.errors import InputError

MOST_CONNECTIONS = 512
HEAD_SECONDS = 10.0  # that a request may take to say what it wants
BACKLOG = 128
ENDING_SECONDS = 2  # that answers may take when the server ends


class Connection(H11Protocol):
    """A connection, closed when the head of a request does not come, or too many are open."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See :class:`asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._forget_head()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        """Let the time of a head run while one is due, from its first byte or the connection's."""
        if self.conn.their_state is not h11.IDLE:
            self._forget_head()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address or name, and port.

    Raises:
        InputError: the port is taken, or the address is not of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # Of localhost, which may be both, the address that people type.
        kind, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=kind, backlog=BACKLOG)
    except OSError as error:
        raise InputError(
            f"--port {port}: cannot be served on {host} ({error}); choose another --port or --host"
        ) from error


def server(app: Any) -> uvicorn.Server:
    """A server of an ASGI application, whose ``run(sockets=[...])`` serves until Ctrl-C."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )
    return uvicorn.Server(config)
