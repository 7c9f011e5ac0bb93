"""Networks as ``paddle.hub.load`` hands them out: layers, and what makes their input."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import paddle
from paddle import Tensor, nn

from networks.any_picture import any_picture_network
from networks.kinds import FOR_DEPTH, KINDS
from networks.monodepth import Architecture, Monodepth
from prediction.depth_map import network_input
from weight_files.download import named_model
from weight_files.folder import open_model
from weight_files.model_info import ModelInfo
from weight_files.published import DEPTH_ANYTHING_SMALL, MIDAS, OFFICIAL_FILES


class HubModel(nn.Layer):
    """A depth network in evaluation mode.

    Attributes:
        network: the layer that it is made of.
        info: size, kind and unit of the model.
    """

    def __init__(self, network: nn.Layer, info: ModelInfo) -> None:
        super().__init__()
        self.network, self.info = network, info
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Inverse depth, or for Monodepth2's networks sigmoid disparity, [B, h, w]; near is large.

        Args:
            images: [B, 3, h, w] RGB in [0, 1], as :meth:`transform` makes them; the layer
                normalises them itself.
        """
        return self.network.disparity_map(images)

    def transform(self, picture: np.ndarray) -> Tensor:
        """The input [1, 3, h, w] of an RGB picture [H, W, 3] uint8."""
        return transform_for(self.info, picture)


def transform_for(info: ModelInfo, picture: np.ndarray) -> Tensor:
    """The input [1, 3, h, w] in [0, 1] that a model takes of a picture [H, W, 3] uint8 RGB."""
    pixels = network_input(info, picture).astype(np.float32) / 255
    return paddle.to_tensor(pixels.transpose(2, 0, 1)[None])


def info_of_name(name: str) -> ModelInfo:
    """What the name of a published model says of it."""
    if name in OFFICIAL_FILES:
        kind = OFFICIAL_FILES[name].kind
        return ModelInfo(Architecture(), *[KINDS[kind].side] * 2, name=name, kind=kind)
    width, height = map(int, name.rsplit("_", 1)[1].split("x"))
    return ModelInfo(Architecture(source_ids=()), height, width, name=name)


def load(name: str, pretrained: bool = True) -> HubModel:
    """A published model by its name.

    Args:
        name: one of :data:`weight_files.published.DEPTH_MODELS`.
        pretrained: with its weights, fetched on the first use; without, random ones.

    Raises:
        InputError: the weights cannot be fetched; what to do by hand is said.
    """
    if pretrained:
        opened = open_model(named_model(name), FOR_DEPTH)
        return HubModel(opened.depth_network(), opened.info)
    info = info_of_name(name)
    if name in OFFICIAL_FILES:
        return HubModel(any_picture_network(info.kind), info)
    return HubModel(Monodepth(info.architecture), info)


def transforms() -> SimpleNamespace:
    """Transforms by the names that MiDaS has for them, and one for each other size of input."""
    small, anything = info_of_name(MIDAS), info_of_name(DEPTH_ANYTHING_SMALL)
    return SimpleNamespace(
        small_transform=partial(transform_for, small),
        depth_anything_transform=partial(transform_for, anything),
        **{
            f"monodepth_{size}_transform": partial(transform_for, info_of_name(f"mono_{size}"))
            for size in ("640x192", "1024x320")
        },
    )
