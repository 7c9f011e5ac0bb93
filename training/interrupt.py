"""Stopping a run between two steps, not in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupted(Exception):
    """A stop was asked for, and the current step is finished."""


class StopRequest:
    """Turn the first Ctrl-C or termination signal into ``requested``; a second one kills."""

    def __init__(self) -> None:
        self.requested = False
        self._previous = {}

    def __enter__(self) -> StopRequest:
        # Only the main thread may set handlers; elsewhere signals keep their meaning.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
