"""What a run leaves to look at: VisualDL scalars and pictures, and a plain metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from visualdl import LogWriter

from datasets.loader import Batch
from networks.monodepth import Architecture
from prediction.visualise import colorize_disparity
from training.step import StepOutput

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

    def picture(self, phase: str, step: int, tag: str, image: np.ndarray) -> None:
        """Log a picture [H, W, 3] uint8."""
        self._writers[phase].add_image(tag, image, step)

    def step(
        self,
        phase: str,
        step: int,
        output: StepOutput,
        batch: Batch,
        architecture: Architecture,
        values: dict[str, float],
    ) -> None:
        """Log the losses of a step, further values, and what its first item looks like."""
        scalars = {f"loss_{s}": float(v) for s, v in zip(architecture.scales, output.per_scale)}
        if output.automask is not None:
            scalars["automask_share"] = float(output.automask.mean())
        self.scalars(phase, step, {**values, **scalars})
        self.pictures(phase, step, output, batch, architecture)

    def pictures(
        self, phase: str, step: int, output: StepOutput, batch: Batch, architecture: Architecture
    ) -> None:
        """Log what the first item of a batch looks like."""
        pictures = {
            "input": batch["target"][0].transpose(1, 2, 0),
            "disparity": disparity_picture(output.disp[0].numpy()),
        }
        for source, warped in zip(architecture.source_ids, output.warped):
            pictures[f"warped_{source}"] = image_picture(warped[0].numpy())
        if output.automask is not None:
            pictures["automask"] = mask_picture(output.automask[0].numpy())
        for tag, picture in pictures.items():
            self.picture(phase, step, tag, picture)

    def close(self) -> None:
        """Write what is still held back."""
        self._metrics.close()
        for writer in self._writers.values():
            writer.close()


def image_picture(image: np.ndarray) -> np.ndarray:
    """[3, H, W] float in [0, 1] as [H, W, 3] uint8."""
    return (np.clip(image, 0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)


def disparity_picture(disp: np.ndarray) -> np.ndarray:
    """[1, H, W] disparity in colours, near bright, [H, W, 3] uint8."""
    return colorize_disparity(disp[0])


def mask_picture(mask: np.ndarray) -> np.ndarray:
    """[1, H, W] mask in [0, 1] as grey [H, W, 3] uint8."""
    return image_picture(np.repeat(mask, 3, axis=0))
