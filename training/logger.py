"""What a run leaves to look at: VisualDL scalars and pictures, and a plain metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from visualdl import LogWriter

METRICS_FILE = "metrics.jsonl"


class Logger:
    """Logs of one run in its folder.

    ``metrics.jsonl`` has one object per line: ``{"step": ..., "phase": "train", "loss": ...}``.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._metrics = (folder / METRICS_FILE).open("a", encoding="utf-8")
        self._writers = {
            phase: LogWriter(logdir=str(folder / phase), display_name=phase)
            for phase in ("train", "val")
        }

    def scalars(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Log scalars of ``train`` or ``val``."""
        for tag, value in values.items():
            self._writers[phase].add_scalar(tag, value, step)
        self._metrics.write(json.dumps({"step": step, "phase": phase, **values}) + "\n")
        self._metrics.flush()

    def pictures(self, phase: str, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Log pictures [H, W, 3] uint8 by their tags."""
        for tag, picture in pictures.items():
            self._writers[phase].add_image(tag, picture, step)

    def close(self) -> None:
        """Write what is still held back."""
        self._metrics.close()
        for writer in self._writers.values():
            writer.close()


def image_picture(image: np.ndarray) -> np.ndarray:
    """[3, H, W] float in [0, 1] as [H, W, 3] uint8."""
    return (np.clip(image, 0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)
