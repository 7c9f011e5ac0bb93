"""The networks of Monodepth2 composed: depth of the target, motion to every source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import paddle
from paddle import Tensor, nn

from layers import transform_from_parameters
from networks.architecture import Architecture
from networks.convnext_encoder import ConvNextEncoder
from networks.decoders import DepthDecoder, PoseCNN, PoseDecoder
from networks.kinds import RESNET
from networks.resnet_encoder import ResnetEncoder


def depth_encoder(architecture: Architecture) -> ResnetEncoder | ConvNextEncoder:
    """The encoder of the depth network, of random weights."""
    if architecture.encoder == RESNET:
        return ResnetEncoder(architecture.num_layers)
    return ConvNextEncoder(architecture.encoder)


@dataclass(frozen=True)
class Motion:
    """Predicted motion of the camera between the target and one temporal source.

    Attributes:
        axisangle: [B, 3], radians.
        translation: [B, 3], model units.
        invert: whether the network saw the source first, so that the motion goes the other way.
    """

    axisangle: Tensor
    translation: Tensor
    invert: bool

    def source_T_target(self, translation_scale: Tensor | None = None) -> Tensor:
        """The transform [B, 4, 4], its translation times ``translation_scale`` [B, 1] if given."""
        translation = self.translation
        if translation_scale is not None:
            translation = translation * translation_scale
        return transform_from_parameters(self.axisangle, translation, self.invert)


@dataclass(frozen=True)
class Prediction:
    """What the networks say of one batch.

    Attributes:
        disps: sigmoid disparity [B, 1, H / 2^s, W / 2^s] per scale.
        motions: one per temporal source, in the order of ``Architecture.temporal_ids``.
        masks: [B, S, H / 2^s, W / 2^s] per scale, or None without a predictive mask.
    """

    disps: list[Tensor]
    motions: list[Motion]
    masks: list[Tensor] | None

    def as_dict(self) -> dict[str, Any]:
        """Its parts by name, in dictionaries and lists, which compiled layers can hand on."""
        return {**vars(self), "motions": [vars(motion) for motion in self.motions]}

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Prediction:
        """What :meth:`as_dict` was made of."""
        return cls(**{**parts, "motions": [Motion(**motion) for motion in parts["motions"]]})


class Monodepth(nn.Layer):
    """Depth and pose networks under one state dict.

    Sublayers, named as the published weight files: ``encoder`` and ``depth``; with temporal
    sources ``pose`` and, when it has one of its own, ``pose_encoder``; ``predictive_mask``.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        num_images = architecture.num_pose_images
        self.encoder = depth_encoder(architecture)
        channels = self.encoder.num_channels
        self.depth = DepthDecoder(channels, architecture.scales)
        if architecture.temporal_ids:
            if architecture.pose_model_type == "separate_resnet":
                self.pose_encoder = ResnetEncoder(architecture.num_layers, num_images)
                of_pose = self.pose_encoder.num_channels
                # As published, also where one is read.
                self.pose = PoseDecoder(of_pose, 1, num_motions=max(2, num_images - 1))
            elif architecture.pose_model_type == "shared":
                self.pose = PoseDecoder(channels, num_images, num_images - 1)
            else:
                self.pose = PoseCNN(num_images)
        if architecture.predictive_mask:
            self.predictive_mask = DepthDecoder(
                channels, architecture.scales, num_outputs=len(architecture.source_ids)
            )

    def predict_disparity(self, images: Tensor) -> list[Tensor]:
        """Sigmoid disparities per scale of images [B, 3, H, W] in [0, 1]."""
        return self.depth(self.encoder(images))

    def disparity_map(self, images: Tensor) -> Tensor:
        """The finest sigmoid disparity [B, H, W] of images [B, 3, H, W] in [0, 1]."""
        return self.predict_disparity(images)[self.architecture.scales.index(0)][:, 0]

    def predict_motion(self, earlier: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
        """Axis-angle and translation [B, 3] between two frames [B, 3, H, W] in [0, 1].

        For pose networks that see pairs; the motion takes points of the earlier camera to the
        later one.
        """
        frames = [earlier, later]
        if self.architecture.pose_model_type == "shared":
            frames = [self.encoder(frame) for frame in frames]
        axisangle, translation = self._pose(frames)
        return axisangle[:, 0], translation[:, 0]

    def forward(self, target: Tensor, sources: Tensor) -> Prediction:
        """Predict for a target [B, 3, H, W] and its sources [B, S, 3, H, W], both in [0, 1]."""
        ids, temporal_ids = self.architecture.source_ids, self.architecture.temporal_ids
        frames = [target, *[sources[:, i] for i in range(len(ids))]]
        if self.architecture.pose_model_type == "shared":  # one pass of the encoder for all
            levels = self.encoder(paddle.concat(frames, axis=0))
            per_level = [paddle.split(level, len(frames), axis=0) for level in levels]
            frames = [list(of_one) for of_one in zip(*per_level)]
            features = frames[0]
        else:
            features = self.encoder(target)
        temporal = [frame for i, frame in zip(ids, frames[1:]) if i in temporal_ids]
        if not temporal:
            motions = []
        elif self.architecture.pose_model_input == "pairs":
            motions = self._motions_by_pair(frames[0], temporal)
        else:
            axisangle, translation = self._pose([frames[0], *temporal])
            count = len(temporal)
            motions = [Motion(axisangle[:, i], translation[:, i], False) for i in range(count)]
        masks = self.predictive_mask(features) if self.architecture.predictive_mask else None
        return Prediction(self.depth(features), motions, masks)

    def _motions_by_pair(self, target_frame: Frame, sources: Sequence[Frame]) -> list[Motion]:
        """Run the pose network once per source, the earlier frame always first."""
        motions = []
        for source_id, source_frame in zip(self.architecture.temporal_ids, sources):
            invert = source_id < 0
            pair = [source_frame, target_frame] if invert else [target_frame, source_frame]
            axisangle, translation = self._pose(pair)
            motions.append(Motion(axisangle[:, 0], translation[:, 0], invert))
        return motions

    def _pose(self, frames: Sequence[Frame]) -> tuple[Tensor, Tensor]:
        kind = self.architecture.pose_model_type
        if kind == "shared":
            return self.pose(frames)
        images = paddle.concat(list(frames), axis=1)
        return self.pose([self.pose_encoder(images)] if kind == "separate_resnet" else images)


# What a pose network reads of one frame: the image, or its features with the shared encoder.
Frame = Union[Tensor, list]
