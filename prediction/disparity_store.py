"""Predicted disparities of a video on disk, from where an interrupted run goes on."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Callable, NamedTuple
from zipfile import BadZipFile

import numpy as np

from system.compression import compress, decompress
from system.errors import InputError
from system.files import read_text, written_whole

CHUNK = 50  # frames whose disparities are kept, or lost, together
DAMAGE = (OSError, ValueError, KeyError, EOFError, ZeroDivisionError, BadZipFile, zlib.error)


class FrameRange(NamedTuple):
    """Disparities of a frame: the lowest, nearly the highest, and the highest one."""

    low: float
    high: float
    largest: float


class Chunk(NamedTuple):
    """Following frames: what the network says of each, and when they are shown."""

    disparities: np.ndarray  # [N, h, w] float16
    seconds: list[Fraction]


class DisparityStore:
    """Predicted disparities of a video on disk, in whole chunks; made for one source and model.

    What the network says, in float16, :data:`CHUNK` frames to a file, which is called by the
    number of its first one: so two processes that do the same write the same.

    Args:
        folder: where they are.
        key: the source and the model.
        range_of: the range of a frame, of its disparity [h, w] float32 as it is kept.
    """

    def __init__(
        self, folder: Path, key: Mapping[str, Any], range_of: Callable[[np.ndarray], FrameRange]
    ) -> None:
        self.folder, self._range_of = folder, range_of
        text = json.dumps(key, sort_keys=True)
        note = folder / "key.json"
        try:
            if not _holds(note, text):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                with written_whole(note) as temporary:
                    temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{folder.parent}: cannot be written to ({error}); choose another with --output"
            ) from error
        self._pending: list[tuple[np.ndarray, Fraction]] = []
        self._ranges: list[FrameRange] = []
        self.frames = self._whole_frames()

    def add(self, sigmoid: np.ndarray, seconds: Fraction) -> None:
        """Keep the next frame's disparity [h, w], and when it is shown."""
        kept = sigmoid.astype(np.float16)
        self._pending.append((kept, seconds))
        self._ranges.append(self._range_of(kept.astype(np.float32)))
        self.frames += 1
        if len(self._pending) == CHUNK:
            self.finish()

    def finish(self) -> None:
        """Write what is not yet a whole chunk."""
        if not self._pending:
            return
        first = self.frames - len(self._pending)
        disparities, seconds = zip(*self._pending)
        try:
            with written_whole(self._path(first)) as path, path.open("wb") as file:
                _write(file, Chunk(np.stack(disparities), list(seconds)))
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written to ({error}); make room on the disk; the same "
                "command goes on from there"
            ) from error
        self._pending = []

    def timed_disparities(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        """The seconds at which every frame is shown, and its disparity [h, w] float32, in order.

        Raises:
            InputError: they are not there any more.
        """
        first = 0
        while first < self.frames:
            chunk = self._read(first)
            if chunk is None:
                raise InputError(
                    f"{self.folder}: was changed, maybe by the same command elsewhere; give it "
                    "again, once"
                )
            for seconds, values in zip(chunk.seconds, chunk.disparities):
                yield seconds, values.astype(np.float32)
            first += len(chunk.seconds)

    def range(self) -> FrameRange:
        """Of all frames: the lowest disparity, nearly the highest, and the highest one."""
        lows, highs, largest = zip(*self._ranges)
        return FrameRange(min(lows), float(np.percentile(highs, 95)), max(largest))

    def _whole_frames(self) -> int:
        """How many frames there are from the first one on without a gap or damage."""
        count = 0
        while (chunk := self._read(count)) is not None:
            count += len(chunk.seconds)
            self._ranges += (self._range_of(each.astype(np.float32)) for each in chunk.disparities)
        return count

    def _path(self, first: int) -> Path:
        return self.folder / f"{first:08d}.npz"

    def _read(self, first: int) -> Chunk | None:
        """The chunk that begins with a frame; None where there is none that is whole."""
        try:
            with self._path(first).open("rb") as file:
                return _read(file)
        except DAMAGE:
            return None


def _write(file: Any, chunk: Chunk) -> None:
    """Write a chunk: each row less the one above, which takes a quarter of the time to compress."""
    bits = chunk.disparities.view(np.uint16)
    changes = np.diff(bits, axis=1, prepend=np.uint16(0))
    packed = np.frombuffer(compress(changes), np.uint8)
    np.savez(file, packed=packed, shape=bits.shape, seconds=[str(each) for each in chunk.seconds])


def _read(file: Any) -> Chunk:
    """What :func:`_write` wrote; raises one of :data:`DAMAGE`."""
    with np.load(file, allow_pickle=False) as content:
        shape = tuple(map(int, content["shape"]))
        changes = np.frombuffer(decompress(content["packed"]), np.uint16).reshape(shape)
        seconds = [Fraction(str(each)) for each in content["seconds"]]
    if len(shape) != 3 or not seconds or len(seconds) != shape[0]:
        raise ValueError(shape)
    return Chunk(np.cumsum(changes, axis=1, dtype=np.uint16).view(np.float16), seconds)


def _holds(note: Path, text: str) -> bool:
    """Whether a file holds a text."""
    try:
        return read_text(note) == text
    except (OSError, UnicodeDecodeError):
        return False
