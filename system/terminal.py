"""What commands say on the terminal: the project's own words, and those of others when asked."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from threading import RLock

VERBOSE = "--verbose"  # every command takes it
SHORTEST = len("--ve")  # no other option begins so
ASKED = "DEPTH_VERBOSE"  # says the same to processes that a command starts

# Loggers of the project, by the first part of their name.
OURS = frozenset(
    [
        *("__main__", "__mp_main__", "train", "evaluate_depth", "export_gt_depth", "demo"),
        *("test_simple", "evaluate_pose"),
        *("hubconf", "layers", "options", "system", "datasets", "networks", "weight_files"),
        *("prediction", "evaluation", "training", "tools", "web", "benchmarks", "tests"),
    ]
)
# What libraries below Python read when they start: errors only, where they are few.
QUIET = {
    "GLOG_minloglevel": "2",  # Paddle
    "TF_CPP_MIN_LOG_LEVEL": "2",  # what VisualDL's readers may load
    "OPENCV_LOG_LEVEL": "ERROR",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # none: each damaged block has a line of its own
    "PYTHONWARNINGS": "ignore",  # processes that are started, such as the data workers
}


PATIENCE = 2.0  # seconds; a line is written in milliseconds


class Terminal(logging.StreamHandler):
    """Writes log lines above a progress bar that is being shown, instead of into it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
        with nullcontext() if bars is None else bars.external_write_mode(self.stream):
            super().emit(record)


def ours(record: logging.LogRecord) -> bool:
    """Whether a log line is the project's, or an error of a library."""
    return record.name.partition(".")[0] in OURS or record.levelno >= logging.ERROR


def verbose() -> bool:
    """Whether this process, or the one that started it, was asked for everything."""
    return bool(os.environ.get(ASKED))


def offer_verbose(parser: argparse.ArgumentParser) -> None:
    """Speak of ``--verbose``, which :func:`set_up` takes off the line, in a command's help."""
    words = "show what the libraries say too"
    parser.add_argument(VERBOSE, action="store_true", default=argparse.SUPPRESS, help=words)


def asks_for_all(word: str) -> bool:
    """Whether a word of a command line is ``--verbose``, shortened or not."""
    return len(word) >= SHORTEST and VERBOSE.startswith(word)


class BarLock:
    """A lock among the threads of this process, which nobody waits for without end.

    tqdm's own is also one of processes: one that is killed while it holds it stops every later bar
    and log line of the others for good. So does a thread that ended, or was interrupted, between
    two lines of tqdm. Whoever has waited for :data:`PATIENCE` takes a new lock; the worst that
    comes of it are two lines in one.
    """

    def __init__(self) -> None:
        self._lock = RLock()

    def acquire(self, *_: object, **__: object) -> bool:
        """Wait for the lock, and hold it."""
        while not (lock := self._lock).acquire(timeout=PATIENCE):
            if lock is self._lock:
                self._lock = RLock()
        return True

    def release(self) -> None:
        """Let others have it."""
        with suppress(RuntimeError):  # it was taken away
            self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def lock_bars() -> None:
    """Have progress bars locked by a :class:`BarLock`."""
    from tqdm import tqdm  # noqa: PLC0415 - whether warnings are shown is decided before

    tqdm.set_lock(BarLock())


def set_up(arguments: Sequence[str]) -> list[str]:
    """Decide by a command line what this process and those that it starts will say.

    Before libraries are imported, most of which decide what they say at that moment.

    Returns:
        The command line without ``--verbose``.
    """
    if any(map(asks_for_all, arguments)):
        os.environ[ASKED] = "1"
    handler = Terminal()
    # force: importing Paddle's companions may have set up a format of their own.
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler], force=True)
    if not verbose():
        handler.addFilter(ours)
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        if sys.warnoptions in ([], ["ignore"]):  # -W of one's own stays
            warnings.simplefilter("ignore")
            logging.captureWarnings(True)  # some libraries switch theirs on again
    lock_bars()
    return [word for word in arguments if not asks_for_all(word)]


@contextmanager
def without_their_output() -> Iterator[None]:
    """Drop what compiled libraries print meanwhile; errors, on the other stream, stay."""
    if verbose():
        yield
        return
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):  # no file, as in a notebook
        yield
        return
    sys.stdout.flush()
    kept = os.dup(stdout)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of a file
            os.dup2(nowhere.fileno(), stdout)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, stdout)
        os.close(kept)
