"""From a weights folder to the depth of pictures.

::

    from prediction.predictor import DepthPredictor

    predictor = DepthPredictor.from_folder("weights/mono+stereo_640x192")
    depth_map = predictor("street.jpg")
    depth_map.depth, depth_map.unit, depth_map.disparity
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Union

import cv2
import numpy as np
from PIL import Image

from networks.model_info import ModelInfo
from networks.weights import read_info
from prediction.depth_map import METRES, RELATIVE_INVERSE, DepthMap, InverseDepth
from prediction.engines.choice import AUTO, Engine, open_engine
from prediction.families import family_of
from prediction.reading import read_picture, upright_rgb

FARTHEST_INVERSE = 0.05
Picture = Union[np.ndarray, Image.Image, str, os.PathLike]


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
        """The network's output [B, H, W] float32 of RGB images [B, H, W, 3] uint8.

        That is sigmoid disparity, or MiDaS's inverse depth. H and W are those of ``info``;
        for MiDaS any multiples of 32.

        Raises:
            ValueError: the images have another size or type.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise ValueError(
                f"images: expected uint8 [B, H, W, 3], got {images.dtype} {list(images.shape)}"
            )
        size = images.shape[2:0:-1]
        expected = family_of(self.info).input_size(self.info, size, max(size))
        if size != expected:
            raise ValueError(
                f"images: expected {expected[0]}x{expected[1]} pixels, got {size[0]}x{size[1]}"
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


class DepthPredictor:
    """Depth of pictures of any size: the one path below every command.

    Attributes:
        network: the depth network, for images of its own size.
        alignment: from its disparity to inverse metres, in the place of what the model says.
        side: longest side that a network for any size is given; None: the one it was trained on.
    """

    def __init__(
        self,
        network: Predictor,
        alignment: InverseDepth | None = None,
        side: int | None = None,
    ) -> None:
        self.network = network
        self.alignment = alignment
        self.side = side
        self.family = family_of(network.info)

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike,
        device: str | None = None,
        engine: str = AUTO,
        precision: str = "fp32",
        calibration: Path | None = None,
        alignment: InverseDepth | None = None,
        side: int | None = None,
    ) -> DepthPredictor:
        """Load the model of a weights folder; see :meth:`Predictor.from_folder`."""
        network = Predictor.from_folder(Path(folder), device, engine, precision, calibration)
        return cls(network, alignment, side)

    @property
    def info(self) -> ModelInfo:
        """What the weights folder says of the model."""
        return self.network.info

    @property
    def unit(self) -> str:
        """``m``, ``relative`` or ``relative inverse depth``, see :class:`DepthMap`."""
        if self.alignment is not None or self.info.metric:
            return METRES
        return self.family.unit if self.info.shift_known else RELATIVE_INVERSE

    def __call__(self, picture: Picture) -> DepthMap:
        """Predict one picture: RGB uint8 [H, W, 3], a Pillow image, or the path of a file.

        Raises:
            InputError: the file cannot be read as a picture.
            ValueError: the array is no picture.
        """
        return self.many([picture])[0]

    def many(self, pictures: Sequence[Picture]) -> list[DepthMap]:
        """Predict several pictures, of any sizes, at once."""
        arrays = [as_array(picture) for picture in pictures]
        by_size: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
        for index, array in enumerate(arrays):
            image = self.network_input(array)
            by_size.setdefault(image.shape, []).append((index, image))
        maps: dict[int, DepthMap] = {}
        for members in by_size.values():
            outputs = self.network.disparity(np.stack([image for _, image in members]))
            for (index, _), output in zip(members, outputs):
                maps[index] = self.depth_map(output, arrays[index].shape[:2])
        return [maps[index] for index in range(len(arrays))]

    def network_input(self, picture: np.ndarray) -> np.ndarray:
        """A picture [H, W, 3] in the size of the network's input."""
        size = self.family.input_size(self.info, picture.shape[1::-1], self.side)
        return self.family.shrink(picture, size)

    def depth_map(self, output: np.ndarray, shape: tuple[int, int]) -> DepthMap:
        """The network's output [h, w] as depth of a picture of ``shape`` (height, width)."""
        info = self.info
        height, width = shape
        output = cv2.resize(output, (width, height), interpolation=self.family.enlarge)
        disparity = self.family.disparity(info, output)
        inverse_depth = self.alignment
        if inverse_depth is None and self.unit == RELATIVE_INVERSE:
            # Its shift is not known: for views, the farthest is taken to be 20 times the nearest.
            largest = max(float(disparity.max()), 1e-6)
            inverse_depth = InverseDepth((1 - FARTHEST_INVERSE) / largest, FARTHEST_INVERSE)
        elif inverse_depth is None:
            inverse_depth = InverseDepth(1 / info.metres_per_unit if info.metric else 1.0)
        return DepthMap(disparity, self.unit, inverse_depth)


def as_array(picture: Picture) -> np.ndarray:
    """RGB uint8 [H, W, 3] of anything that :class:`DepthPredictor` takes."""
    if isinstance(picture, (str, os.PathLike)):
        return read_picture(Path(picture))
    if isinstance(picture, Image.Image):
        return upright_rgb(picture)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(
            f"picture: expected uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}"
        )
    return picture
