"""How worker processes begin, so that they end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """End this process when the one that started it does.

    A parent that is killed cannot stop its workers, who would wait for work for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def leave_stops_to_parent() -> None:
    """Leave Ctrl-C and a closed terminal, which reach workers too, to the parent; end with it."""
    for name in ("SIGINT", "SIGHUP", "SIGBREAK"):  # not every system has all
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    end_with_parent()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
