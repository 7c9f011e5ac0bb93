"""What the page keeps on the disk, and for how long: results and uploads, within so many bytes."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

KEPT_SECONDS = 3600
MOST_RESULTS = 256
MOST_UPLOADS = 4096
UNFINISHED = "tmp"  # how the names of uploads that are still being written start
CLOCKS_DIFFER = 2.0  # seconds between those of the system and of its disk, at most


def bytes_in(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    files = [path]
    for folder, _, names in os.walk(path):
        files += [Path(folder, name) for name in names]
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def remove(path: Path) -> None:
    """Remove a file or folder, as far as the system lets it go."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def in_use(names: Counter[str], name: str, lock: threading.Lock) -> Iterator[None]:
    """Count a name among those in use, which are in ``names`` as long as anybody uses them."""
    with lock:
        names[name] += 1
    try:
        yield
    finally:
        with lock:
            names[name] -= 1
            names += Counter()  # without those that nobody uses


@dataclass(frozen=True)
class Result:
    """A prediction: a folder with ``picture.jpg`` and ``disparity.npy``, the network's output."""

    folder: Path
    shape: tuple[int, int]  # of the picture, (height, width)
    model: str
    bytes: int = 0
    made: float = field(default_factory=time.monotonic)


class Results:
    """The last predictions, in a folder; older ones are removed from the disk.

    Args:
        folder: of its own.
        most: results at most.
        most_bytes: of all of them together; the newest one stays, however large.
    """

    def __init__(self, folder: Path, most: int = MOST_RESULTS, most_bytes: int = 1 << 30) -> None:
        self.folder, self.most, self.most_bytes = folder, most, most_bytes
        self._kept: OrderedDict[str, Result] = OrderedDict()
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    def new_folder(self) -> tuple[str, Path]:
        """A token that cannot be guessed, and the folder that belongs to it."""
        token = secrets.token_urlsafe(16)
        folder = self.folder / token
        folder.mkdir(parents=True)
        return token, folder

    @contextmanager
    def making(self) -> Iterator[tuple[str, Path]]:
        """A :meth:`new_folder` that is gone again where nothing comes of it."""
        token, folder = self.new_folder()
        try:
            yield token, folder
        except BaseException:
            remove(folder)
            raise

    def keep(self, token: str, result: Result) -> None:
        """Remember a result, weigh it, and forget the oldest ones."""
        weighed = replace(result, bytes=bytes_in(result.folder))
        with self._lock:
            self._kept[token] = weighed
        self.tidy()

    def find(self, token: object) -> Result | None:
        """The result of a token, None when it is not kept (any more)."""
        with self._lock:
            result = self._kept.get(token) if isinstance(token, str) else None
        return result if result is not None and result.folder.is_dir() else None

    @contextmanager
    def using(self, token: str) -> Iterator[None]:
        """Let a result be while something is written into its folder, and weigh it anew."""
        try:
            with in_use(self._used, token, self._lock):
                yield
        finally:
            with self._lock:
                result = self._kept.get(token)
                if result is not None:
                    self._kept[token] = replace(result, bytes=bytes_in(result.folder))
                    self._kept.move_to_end(token)
            self.tidy()

    def tidy(self) -> None:
        """Remove what is too old, too many or too large."""
        with self._lock:
            old = [self._kept.pop(token) for token in list(self._surplus())]
        for each in old:
            remove(each.folder)

    def _surplus(self) -> Iterator[str]:
        count, total = len(self._kept), sum(result.bytes for result in self._kept.values())
        before = time.monotonic() - KEPT_SECONDS
        for token, result in self._kept.items():
            if token in self._used:
                continue
            over = count > self.most or (count > 1 and total > self.most_bytes)
            if over or result.made < before:
                yield token
                count, total = count - 1, total - result.bytes


@dataclass(frozen=True, eq=False)
class Coming:
    """An upload on its way: the bytes that it has room for, and when it started."""

    bytes: int
    started: float = field(default_factory=time.time)


class Uploads:
    """What visitors have sent, in entries of a folder: within so many bytes, on their way or there.

    An entry weighs at least its share of :data:`MOST_UPLOADS`, so that there are no more of them.
    Those that have been read make room first, then those that came first.

    Args:
        folder: where each upload gets a folder of its own.
        most_bytes: of all of them; half of it those that are on their way, at most.
        spared: names in the folder that are none; :meth:`spare` adds what is there by then.
    """

    def __init__(self, folder: Path, most_bytes: int, spared: frozenset[str] = frozenset()) -> None:
        self.folder, self.most_bytes, self.spared = folder, most_bytes, spared
        self._least = most_bytes // MOST_UPLOADS
        self._coming: set[Coming] = set()
        self._there = 0  # bytes of those that came, at most: what vanished is found by looking
        self._used: Counter[str] = Counter()
        self._read: set[str] = set()  # names of those that have been read
        self._lock = threading.Lock()

    def spare(self) -> None:
        """Never remove what is in the folder now: it is the page's own."""
        self.spared |= {path.name for path in self.folder.iterdir()}

    def reserve(self, size: int) -> Coming | None:
        """Make room for bytes, until :meth:`release`; None while too many are on their way."""
        coming = Coming(max(size, self._least))
        with self._lock:
            on_their_way = coming.bytes + sum(each.bytes for each in self._coming)
            if on_their_way > self.most_bytes // 2:
                return None
            if on_their_way + self._there > self.most_bytes:
                self._there = self._shrink(self.most_bytes - on_their_way)
            if on_their_way + self._there > self.most_bytes:
                return None
            self._coming.add(coming)
            return coming

    def release(self, coming: Coming, came: int) -> None:
        """Of what there was room for, so many bytes have come."""
        with self._lock:
            self._coming.discard(coming)
            self._there += max(came, self._least)
            if not self._coming:
                for path in self.folder.glob(f"{UNFINISHED}*"):
                    remove(path)

    @contextmanager
    def using(self, path: Path) -> Iterator[None]:
        """Let an upload be while it is read."""
        name = path.relative_to(self.folder).parts[0] if self.holds(path) else ""
        with in_use(self._used, name, self._lock):
            self._read.add(name)
            yield

    def holds(self, path: Path) -> bool:
        """Whether a path lies in the folder."""
        return path != self.folder and path.is_relative_to(self.folder)

    def tidy(self) -> None:
        """Remove what came more than an hour ago."""
        with self._lock:
            self._there = self._shrink(self.most_bytes)

    def _shrink(self, most: int) -> int:
        """Remove the oldest entries, and all old ones, until ``most`` bytes stay; returns these.

        What is being written stays, and what a form left that named its files in an odd way goes
        as soon as it cannot be of an upload on its way.
        """
        entries, now = [], time.time()
        started = min((each.started for each in self._coming), default=math.inf) - CLOCKS_DIFFER
        for entry in os.scandir(self.folder):
            if entry.name in self.spared:
                continue
            try:
                made = entry.stat().st_mtime
            except OSError:
                continue
            path = Path(entry.path)
            size = max(bytes_in(path), self._least)
            entries.append((path.name not in self._read, made, size, path))
        self._read &= {path.name for *_, path in entries}
        total = sum(size for _, _, size, _ in entries)
        # Some more than asked for, so that the folder is not looked through for every upload.
        goal = most if total <= most else most * 3 // 4
        for _, made, size, path in sorted(entries):
            if path.name.startswith(UNFINISHED):
                gone = made < started
            else:
                gone = path.name not in self._used and (total > goal or made < now - KEPT_SECONDS)
            if gone:
                remove(path)
                total -= size
        return total


class Turns:
    """Lets so many pixels be in work at once, in the order in which they are asked for.

    Args:
        most: pixels; more than that in one picture wait until they are alone.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._in_work = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait for a turn of ``pixels``, and hold it."""
        pixels, ticket = min(pixels, self.most), object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(
                lambda: self._waiting[0] is ticket and self._in_work + pixels <= self.most
            )
            self._waiting.popleft()
            self._in_work += pixels
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._in_work -= pixels
                self._changed.notify_all()
