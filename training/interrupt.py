"""Stopping a run between two steps, not in the middle of one."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Any, TextIO

# Ctrl-C, a termination, a closed terminal; not every system has all of them.
HANG_UP = getattr(signal, "SIGHUP", None)
STOPS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Interrupted(Exception):
    """A stop was asked for, and the current step is finished."""


class StopRequest:
    """Turn the first signal that asks to stop into ``requested``.

    A second Ctrl-C or termination kills; a terminal may hang up more than once while it closes. Who
    starts with hang-ups ignored, as by ``nohup``, is not stopped by them.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        # Only the main thread may set handlers; elsewhere signals keep their meaning.
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in STOPS if hasattr(signal, name)):
                if number != HANG_UP or signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore(self._previous)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if number != HANG_UP:
            self._restore(self._previous.keys() - {HANG_UP})

    def _restore(self, numbers: Any) -> None:
        for number in list(numbers):
            signal.signal(number, self._previous.pop(number))


class Unbroken:
    """A stream that says nothing more once it cannot: its terminal or reader has gone.

    Args:
        stream: to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same stream, which those who write between progress bars ask."""
        return other is self or other is self._stream

    __hash__ = object.__hash__

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Likewise."""
        with contextlib.suppress(OSError):
            self._stream.flush()
