"""A process that ends takes those that train with it along, within seconds and with a message.

A sum over processes of which one is gone waits for ever on GPUs, and on another machine than the
launcher's. So every process holds a connection to the first one, over which nothing is sent. The
system closes it when a process ends, however that comes about, and finds out by itself when a
machine is gone: neither needs the process to answer in time, which one that compiles does not.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

DONE = b"."  # sent by a process that has come to the end of its training
GREETING = struct.Struct("!QI")  # token and rank
JOIN_SECONDS = 60
# In which a process whose sum fails says so itself, and what it was about to write is written.
GRACE_SECONDS = 10
# A machine whose system does not answer for 10 + 5 * 5 seconds is taken to be gone.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPALIVE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 5}


@dataclass
class Peers:
    """The connections of a process to those that it cannot go on without.

    Attributes:
        connections: by rank: of the first process to all others, of these to the first one.
        lost: is called with the rank of one that has ended before its training did.
    """

    connections: dict[int, socket.socket]
    lost: Callable[[int], None]
    _left: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> Peers:
        """Begin to watch, in threads of their own."""
        for rank, connection in self.connections.items():
            threading.Thread(target=self._wait, args=(rank, connection), daemon=True).start()
        return self

    def leave(self) -> None:
        """Say that this process has come to the end of its training; the others go on."""
        self._left.set()
        for connection in self.connections.values():
            try:
                connection.sendall(DONE)
                connection.shutdown(socket.SHUT_WR)
            except OSError:  # that one has gone already
                logger.debug("a process has left before")

    def _wait(self, rank: int, connection: socket.socket) -> None:
        try:
            said = connection.recv(len(DONE))
        except OSError:
            said = b""
        if said != DONE and not self._left.is_set():
            self.lost(rank)


def listen(host: str) -> tuple[socket.socket, int]:
    """Where the others meet the first process: a socket at its address, and the port."""
    server = socket.create_server((host, 0))
    server.settimeout(JOIN_SECONDS)
    return server, server.getsockname()[1]


def meet(server: socket.socket, token: int, size: int) -> dict[int, socket.socket]:
    """Wait for all the others; closes the socket that they come to.

    Raises:
        OSError: some have not come in time.
    """
    connections: dict[int, socket.socket] = {}
    with server:
        while len(connections) < size - 1:
            connection, _ = server.accept()
            connection.settimeout(JOIN_SECONDS)
            said = GREETING.unpack(_receive(connection, GREETING.size))
            if said[0] == token:
                connections[said[1]] = kept_alive(connection)
            else:  # somebody who is none of them
                connection.close()
    return connections


def join(host: str, port: int, token: int, rank: int) -> dict[int, socket.socket]:
    """Connect to the first process.

    Raises:
        OSError: it cannot be reached.
    """
    connection = socket.create_connection((host, port), JOIN_SECONDS)
    connection.sendall(GREETING.pack(token, rank))
    return {0: kept_alive(connection)}


def _receive(connection: socket.socket, count: int) -> bytes:
    """So many bytes, filled up with zeros where fewer come."""
    said = b""
    while len(said) < count:
        part = connection.recv(count - len(said))
        if not part:
            break
        said += part
    return said.ljust(count, b"\0")


def kept_alive(connection: socket.socket) -> socket.socket:
    """A connection of which the system finds out when the other machine is gone."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # systems differ in what they have
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


def end_process(words: Callable[[str], str]) -> Callable[[int], None]:
    """What ends this process after it has lost another one, a moment later.

    Args:
        words: what is said, of which process was lost.
    """

    def end(rank: int) -> None:
        time.sleep(GRACE_SECONDS)
        logger.error(words(f"process {rank}"))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(1)  # the main thread may be within a sum that never returns

    return end
