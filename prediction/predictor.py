"""From a weights folder to disparity of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle

from networks.device import choose_device
from networks.model_info import ModelInfo
from networks.monodepth import Monodepth
from networks.weights import load_depth_model


class Predictor:
    """The depth network of a weights folder, ready to be given images.

    Attributes:
        info: what the folder says of the model: size of the images, depth range, unit.
    """

    def __init__(self, model: Monodepth, info: ModelInfo) -> None:
        self.model = model
        self.info = info

    @classmethod
    def from_folder(cls, folder: Path, device: str | None = None) -> Predictor:
        """Load the model of a weights folder.

        Args:
            folder: the weights folder.
            device: ``cpu``, ``gpu`` or ``gpu:N``; None takes the GPU when Paddle has one.

        Raises:
            InputError: the folder or the device cannot be used.
        """
        choose_device(device)
        return cls(*load_depth_model(folder))

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """Sigmoid disparity [B, H, W] float32 of RGB images [B, H, W, 3] uint8.

        H and W are those of ``info``.

        Raises:
            ValueError: the images have another size or type.
        """
        expected = (self.info.height, self.info.width, 3)
        if images.ndim != 4 or images.shape[1:] != expected or images.dtype != np.uint8:
            raise ValueError(
                f"images: expected uint8 [B, {expected[0]}, {expected[1]}, 3], "
                f"got {images.dtype} {list(images.shape)}"
            )
        with paddle.no_grad():
            x = paddle.to_tensor(images).transpose([0, 3, 1, 2]).astype("float32") / 255
            finest = self.model.predict_disparity(x)[self.info.architecture.scales.index(0)]
            return finest[:, 0].numpy()
