"""From a weights folder to the depth of pictures.

::

    from prediction.predictor import DepthPredictor

    predictor = DepthPredictor.from_folder("weights/mono+stereo_640x192")
    depth_map = predictor("street.jpg")
    depth_map.depth, depth_map.unit, depth_map.disparity
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

import numpy as np
from PIL import Image

from datasets.pictures import read_picture, upright_rgb
from networks.kinds import FOR_DEPTH, KINDS
from options import AUTO, PredictorOptions
from prediction.alignment import read_alignment
from prediction.depth_map import (
    FAMILIES,
    METRES,
    RELATIVE_INVERSE,
    DepthMap,
    ScaleShift,
    inside_padding,
    network_input,
)
from prediction.engines import Engine, open_engine
from weight_files.download import find_model
from weight_files.folder import open_model
from weight_files.model_info import ModelInfo

logger = logging.getLogger(__name__)

FARTHEST_INVERSE = 0.05
Picture = Union[np.ndarray, Image.Image, str, os.PathLike]


@dataclass(frozen=True)
class Predictor:
    """The depth network of a weights folder, ready to be given images.

    Attributes:
        engine: what runs it.
        info: what the folder says of the model: size of the images, depth range, unit.
        digest: what tells its weights from others, see :meth:`OpenedModel.digest`.
    """

    engine: Engine
    info: ModelInfo
    digest: str = ""

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """The network's output [B, H, W] float32 of RGB images [B, H, W, 3].

        They are uint8, or float32 of 0 to 255 where the network's kind is given these, see
        :class:`prediction.depth_map.Family`.

        That is sigmoid disparity, or inverse depth. H and W are those of ``info``; for networks
        for any size those that their rule gives.

        Raises:
            ValueError: the images have another size or type.
        """
        family = FAMILIES[self.info.kind]
        if (
            images.ndim != 4
            or images.shape[3] != 3
            or images.dtype not in (np.uint8, family.pixels)
        ):
            raise ValueError(
                f"images: expected {np.dtype(family.pixels)} [B, H, W, 3], got {images.dtype} "
                f"{list(images.shape)}"
            )
        size = images.shape[2:0:-1]
        expected = family.input_size(self.info, size, max(size))
        if size != expected:
            raise ValueError(
                f"images: expected {expected[0]}x{expected[1]} pixels, got {size[0]}x{size[1]}"
            )
        return self.engine.disparity(images)

    def stream(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The disparities of batches as they come, each predicted while the next one is made.

        Holds twice as many batches as the engine does at once, however many there are: so it has
        work while something is done with what it gave.
        """
        running: deque[Future] = deque()
        with ThreadPoolExecutor(self.engine.at_once) as pool:
            for images in batches:
                running.append(pool.submit(self.disparity, images))
                if len(running) == 2 * self.engine.at_once:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    def of_many(self) -> Predictor:
        """The same network, run as the engine does many images; itself if that is no other way."""
        many = self.engine.many
        return self if many is None else replace(self, engine=many)


@dataclass(frozen=True)
class DepthPredictor:
    """Depth of pictures of any size: the one path below every command.

    Attributes:
        network: the depth network, for images of its own size.
        alignment: from its disparity to inverse metres, in the place of what the model says.
        side: longest side that a network for any size is given; None: the one it was trained on.
        keep_aspect: pad pictures to the shape of a network of a fixed one, see
            :func:`prediction.depth_map.network_input`.
    """

    network: Predictor
    alignment: ScaleShift | None = None
    side: int | None = None
    keep_aspect: bool = False

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike,
        device: str | None = None,
        engine: str = AUTO,
        precision: str = "fp32",
        calibration: Path | None = None,
        alignment: ScaleShift | None = None,
        side: int | None = None,
        keep_aspect: bool = False,
    ) -> DepthPredictor:
        """Load the model of a weights folder.

        Args:
            folder: the weights folder.
            device: ``cpu``, ``gpu`` or ``gpu:N``; None takes the GPU when Paddle has one.
            engine: one of :data:`options.ENGINES`, or ``auto``.
            precision: ``fp32``; ``int8`` with OpenVINO and ONNX Runtime; ``bf16`` with OpenVINO.
            calibration: folder of pictures that ``int8`` is fitted to, for its first use.
            alignment, side, keep_aspect: see :class:`DepthPredictor`.

        Raises:
            InputError: the folder, device or engine cannot be used.
        """
        opened = open_model(Path(folder), FOR_DEPTH)
        running = open_engine(opened, engine, precision, device, calibration)
        network = Predictor(running, opened.info, opened.digest())
        padded = keep_aspect and not KINDS[opened.info.kind].side  # the others keep it anyway
        return cls(network, alignment, side, padded)

    @property
    def info(self) -> ModelInfo:
        """What the weights folder says of the model."""
        return self.network.info

    @property
    def unit(self) -> str:
        """``m``, ``relative`` or ``relative inverse depth``, see :class:`DepthMap`."""
        if self.alignment is not None or self.info.metric:
            return METRES
        return FAMILIES[self.info.kind].unit if self.info.shift_known else RELATIVE_INVERSE

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
        images = [self.network_input(array) for array in arrays]
        maps: dict[int, DepthMap] = {}
        for shape in {image.shape for image in images}:
            members = [index for index, image in enumerate(images) if image.shape == shape]
            outputs = self.network.disparity(np.stack([images[index] for index in members]))
            for index, output in zip(members, outputs):
                maps[index] = self.depth_map(output, arrays[index].shape[:2])
        return [maps[index] for index in range(len(arrays))]

    def network_input(self, picture: np.ndarray) -> np.ndarray:
        """A picture [H, W, 3] uint8 in the size and type of the network's input."""
        return network_input(self.info, picture, self.side, self.keep_aspect)

    def without_padding(self, output: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """That part of the network's output [h, w] that is of a picture of ``shape``."""
        if not self.keep_aspect:
            return output
        return output[inside_padding(output.shape[::-1], shape[::-1])]

    def depth_map(self, output: np.ndarray, shape: tuple[int, int]) -> DepthMap:
        """The network's output [h, w] as depth of a picture of ``shape`` (height, width)."""
        info, family = self.info, FAMILIES[self.info.kind]
        output = family.enlarge(self.without_padding(output, shape), shape[::-1])
        disparity = family.disparity(info, output)
        inverse_depth = self.alignment
        if inverse_depth is None and self.unit == RELATIVE_INVERSE:
            # Its shift is not known: for views, the farthest is taken to be 20 times the nearest.
            largest = max(float(disparity.max()), 1e-6)
            inverse_depth = ScaleShift((1 - FARTHEST_INVERSE) / largest, FARTHEST_INVERSE)
        elif inverse_depth is None:
            inverse_depth = ScaleShift(1 / info.metres_per_unit if info.metric else 1.0)
        return DepthMap(disparity, self.unit, inverse_depth)


def open_predictor(
    options: PredictorOptions,
    alignment: Path | None = None,
    side: int | None = None,
    keep_aspect: bool = False,
) -> DepthPredictor:
    """The model that the options of a command name, in the engine that they choose.

    Args:
        options: with ``load_weights_folder`` or ``model_name``, ``device``, ``engine``,
            ``precision`` and ``calibration``.
        alignment: file of ``python -m tools.align`` for this model.
        side: longest side that a network for any size is given.
        keep_aspect: pad pictures to the shape of a network of a fixed one.

    Raises:
        InputError: it cannot be loaded or fetched, or the alignment is not of it.
    """
    predictor = DepthPredictor.from_folder(
        find_model(options.load_weights_folder, options.model_name),
        options.device,
        options.engine,
        options.precision,
        options.calibration,
    )
    info = predictor.info
    any_shape = KINDS[info.kind].side
    padded = keep_aspect and not any_shape
    fit = alignment and read_alignment(alignment, info.name, padded)
    side = side if any_shape else None
    return replace(predictor, alignment=fit, side=side, keep_aspect=padded)


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
