"""Predicted disparities of a video on disk, from where an interrupted prediction goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from errors import InputError
from files import written_whole
from prediction.predictor import DepthPredictor
from prediction.visualise import disparity_range

CHUNK = 50  # frames that are kept, or lost, together


class Store:
    """Predicted disparities of a video on disk, in whole chunks; made for one source and model.

    What the network says, in float16, :data:`CHUNK` frames to a file.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder
        text = json.dumps(key, sort_keys=True)
        note = folder / "key.json"
        try:
            if not (note.is_file() and note.read_text() == text):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                note.write_text(text)
        except OSError as error:
            raise InputError(
                f"{folder.parent}: cannot be written to ({error}); choose another with --output"
            ) from error
        self._pending: list[np.ndarray] = []
        self.frames = sum(len(self._read(path)) for path in self._chunks())

    def add(self, sigmoid: np.ndarray) -> None:
        """Keep the next frame's disparity [h, w]."""
        self._pending.append(sigmoid.astype(np.float16))
        self.frames += 1
        if len(self._pending) == CHUNK:
            self.finish()

    def finish(self) -> None:
        """Write what is not yet a whole chunk."""
        if not self._pending:
            return
        number = len(self._chunks())
        try:
            with written_whole(self.folder / f"{number:06d}.npz") as path, path.open("wb") as file:
                np.savez_compressed(file, np.stack(self._pending))
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written to ({error}); make room on the disk; the same "
                "command goes on from there"
            ) from error
        self._pending = []

    def disparities(self) -> Iterator[np.ndarray]:
        """Every frame's disparity [h, w] float32, in order."""
        for path in self._chunks():
            for values in self._read(path):
                yield values.astype(np.float32)

    def range(self, predictor: DepthPredictor) -> tuple[float, float]:
        """Range of disparities for all frames: from the lowest to nearly the highest."""
        ranges = []
        for sigmoid in self.disparities():
            small = predictor.depth_map(sigmoid, sigmoid.shape)
            ranges.append(disparity_range(small.disparity))
        lows, highs = zip(*ranges)
        return min(lows), float(np.percentile(highs, 95))

    def remove(self) -> None:
        """Delete it all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _chunks(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    @staticmethod
    def _read(path: Path) -> np.ndarray:
        with np.load(path, allow_pickle=False) as file:
            return file["arr_0"]
