"""What a run leaves to look at: VisualDL scalars and pictures, and a plain metrics.jsonl."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
from visualdl.component.base_component import image, meta_data, scalar

METRICS_FILE = "metrics.jsonl"


class Logger:
    """Logs of one run in its folder.

    ``metrics.jsonl`` has one object per line: ``{"step": ..., "phase": "train", "loss": ...}``.
    All methods raise an ``OSError`` that names the file where there is no room for it.
    VisualDL names the scalars by their folders, ``<log_dir>/<model_name>/train`` and ``val``.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._metrics = (folder / METRICS_FILE).open("ab", buffering=0)
        # A display name would make one of all runs that have it.
        self._records = {phase: Records(folder / phase) for phase in ("train", "val")}

    def scalars(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Log scalars of ``train`` or ``val``."""
        line = json.dumps({"step": step, "phase": phase, **values}) + "\n"
        append(self._metrics, line.encode())
        for tag, value in values.items():
            self._records[phase].add(scalar, tag=tag, value=value, step=step)

    def pictures(self, phase: str, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Log pictures [H, W, 3] uint8 by their tags."""
        for tag, picture in pictures.items():
            self._records[phase].add(image, tag=tag, image_array=picture, step=step)

    def close(self) -> None:
        """Close the files; nothing was held back."""
        self._metrics.close()
        for records in self._records.values():
            records.close()


class Records:
    """A file of VisualDL's records.

    Its own writer leaves that to a thread, which ends on a full disk, whereupon the caller waits
    for it for ever.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"vdlrecords.{int(time.time()):010d}.log"
        self._file = path.open("ab", buffering=0)
        self.add(meta_data, display_name="")

    def add(self, make: Any, **facts: Any) -> None:
        """Write what one of VisualDL's functions makes of some facts."""
        content = make(walltime=round(time.time() * 1000), **facts).SerializeToString()
        append(self._file, struct.pack("<Q", len(content)) + content)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def append(file: io.FileIO, content: bytes) -> None:
    """Add to the end of an unbuffered file, all or nothing.

    Raises:
        OSError: there is no room; ``filename`` says for what.
    """
    before, left = file.seek(0, os.SEEK_END), memoryview(content)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        with contextlib.suppress(OSError):
            file.truncate(before)
        error.filename = file.name
        raise


def image_picture(image: np.ndarray) -> np.ndarray:
    """[3, H, W] float in [0, 1] as [H, W, 3] uint8."""
    return (np.clip(image, 0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)
