"""Paddle itself, on any device that it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from networks.device import choose_device
from networks.weights import load_depth_model
from prediction.graph import DisparityGraph


class PaddleEngine:
    """The networks as they are trained, without compiling anything."""

    name = "paddle"

    def __init__(self, model: nn.Layer) -> None:
        self.graph = DisparityGraph(model)

    @classmethod
    def open(cls, folder: Path, device: str | None) -> PaddleEngine:
        """Load a weights folder onto a device."""
        choose_device(device)
        return cls(load_depth_model(folder)[0])

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """Sigmoid disparity [B, H, W] float32 of RGB images [B, H, W, 3] uint8."""
        with paddle.no_grad():
            return self.graph(paddle.to_tensor(images)).numpy()
