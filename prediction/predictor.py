"""From a weights folder to disparity of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from networks.model_info import ModelInfo
from networks.weights import read_info
from prediction.engines.choice import AUTO, Engine, open_engine


class Predictor:
    """The depth network of a weights folder, ready to be given images.

    Attributes:
        info: what the folder says of the model: size of the images, depth range, unit.
        engine: what runs it.
    """

    def __init__(self, engine: Engine, info: ModelInfo) -> None:
        self.engine = engine
        self.info = info

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        device: str | None = None,
        engine: str = AUTO,
        precision: str = "fp32",
        calibration: Path | None = None,
    ) -> Predictor:
        """Load the model of a weights folder.

        Args:
            folder: the weights folder.
            device: ``cpu``, ``gpu`` or ``gpu:N``; None takes the GPU when Paddle has one.
            engine: one of ``prediction.engines.choice.ENGINES``, or ``auto``.
            precision: ``fp32``; ``int8`` with OpenVINO and ONNX Runtime; ``bf16`` with OpenVINO.
            calibration: folder of pictures that ``int8`` is fitted to, for its first use.

        Raises:
            InputError: the folder, device or engine cannot be used.
        """
        info = read_info(folder)
        return cls(open_engine(folder, engine, precision, device, calibration), info)

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
        return self.engine.disparity(images)

    def stream(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The disparities of batches as they come, each predicted while the next one is made.

        Holds no more than two batches, however many there are.
        """
        with ThreadPoolExecutor(1) as pool:
            running = None
            for images in batches:
                following = pool.submit(self.disparity, images)
                if running is not None:
                    yield running.result()
                running = following
            if running is not None:
                yield running.result()
