"""The networks of Monodepth2 composed: depth of the target, motion to every source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

import paddle
from paddle import Tensor, nn

from layers import transform_from_parameters
from networks.depth_decoder import DepthDecoder
from networks.pose_cnn import PoseCNN
from networks.pose_decoder import PoseDecoder
from networks.resnet_encoder import ResnetEncoder

SourceId = Union[int, str]
STEREO = "s"


@dataclass(frozen=True)
class Architecture:
    """What decides the shape of every parameter.

    Attributes:
        num_layers: of the ResNets.
        scales: scales with a disparity output.
        source_ids: frames that the target is reconstructed from: offsets in time, ``"s"`` for the
            other camera of the stereo pair.
        pose_model_type: ``separate_resnet``, ``shared`` or ``posecnn``.
        pose_model_input: ``pairs`` (target and one source at a time) or ``all`` frames at once.
        predictive_mask: whether a second decoder predicts a mask per source.
    """

    num_layers: int = 18
    scales: tuple[int, ...] = (0, 1, 2, 3)
    source_ids: tuple[SourceId, ...] = (-1, 1)
    pose_model_type: str = "separate_resnet"
    pose_model_input: str = "pairs"
    predictive_mask: bool = False

    @property
    def temporal_ids(self) -> tuple[int, ...]:
        """The sources that differ in time, whose motion is predicted."""
        return tuple(i for i in self.source_ids if i != STEREO)

    def inverts(self, source_id: int) -> bool:
        """Whether the pose network sees that temporal source first, and the target after it."""
        return self.pose_model_input == "pairs" and source_id < 0

    @property
    def num_pose_images(self) -> int:
        """Images that the pose network sees at once."""
        return 2 if self.pose_model_input == "pairs" else 1 + len(self.temporal_ids)


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

    def flat(self) -> list[Tensor]:
        """Its tensors in a row, as compiled layers hand them on."""
        motions = [part for m in self.motions for part in (m.axisangle, m.translation)]
        return [*self.disps, *motions, *(self.masks or [])]

    @classmethod
    def from_flat(cls, architecture: Architecture, tensors: Sequence[Tensor]) -> Prediction:
        """What :meth:`flat` was made of, by networks of that architecture."""
        rest = iter(tensors)
        disps = [next(rest) for _ in architecture.scales]
        motions = [
            Motion(next(rest), next(rest), architecture.inverts(source_id))
            for source_id in architecture.temporal_ids
        ]
        return cls(disps, motions, list(rest) if architecture.predictive_mask else None)


class Monodepth(nn.Layer):
    """Depth and pose networks under one state dict.

    Sublayers, named as the published weight files: ``encoder`` and ``depth``; with temporal
    sources ``pose`` and, when it has one of its own, ``pose_encoder``; ``predictive_mask``.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        num_images = architecture.num_pose_images
        self.encoder = ResnetEncoder(architecture.num_layers)
        channels = self.encoder.num_channels
        self.depth = DepthDecoder(channels, architecture.scales)
        if architecture.temporal_ids:
            if architecture.pose_model_type == "separate_resnet":
                self.pose_encoder = ResnetEncoder(architecture.num_layers, num_images)
                self.pose = PoseDecoder(channels, num_feature_sets=1, num_motions=2)
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
        ids = self.architecture.source_ids
        source_images = [sources[:, i] for i in range(len(ids))]
        if self.architecture.pose_model_type == "shared":
            features, source_features = self._encode_all(target, source_images)
            frames = dict(zip(ids, source_features))
            target_frame = features
        else:
            features = self.encoder(target)
            frames = dict(zip(ids, source_images))
            target_frame = target

        temporal = [frames[i] for i in self.architecture.temporal_ids]
        if not temporal:
            motions = []
        elif self.architecture.pose_model_input == "pairs":
            motions = self._motions_by_pair(target_frame, temporal)
        else:
            motions = self._motions_at_once(target_frame, temporal)
        masks = self.predictive_mask(features) if self.architecture.predictive_mask else None
        return Prediction(self.depth(features), motions, masks)

    def _encode_all(
        self, target: Tensor, sources: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Features of the target, and of each source, from one pass of the shared encoder."""
        count = 1 + len(sources)
        stacked = self.encoder(paddle.concat([target, *sources], axis=0))
        per_level = [paddle.split(level, count, axis=0) for level in stacked]
        target_features, *source_features = [list(levels) for levels in zip(*per_level)]
        return target_features, source_features

    def _motions_by_pair(self, target_frame: Frame, sources: Sequence[Frame]) -> list[Motion]:
        """Run the pose network once per source, the earlier frame always first."""
        motions = []
        for source_id, source_frame in zip(self.architecture.temporal_ids, sources):
            invert = self.architecture.inverts(source_id)
            pair = [source_frame, target_frame] if invert else [target_frame, source_frame]
            axisangle, translation = self._pose(pair)
            motions.append(Motion(axisangle[:, 0], translation[:, 0], invert))
        return motions

    def _motions_at_once(self, target_frame: Frame, sources: Sequence[Frame]) -> list[Motion]:
        """Run the pose network once on all frames, the target first."""
        axisangle, translation = self._pose([target_frame, *sources])
        return [
            Motion(axisangle[:, i], translation[:, i], invert=False) for i in range(len(sources))
        ]

    def _pose(self, frames: Sequence[Frame]) -> tuple[Tensor, Tensor]:
        kind = self.architecture.pose_model_type
        if kind == "shared":
            return self.pose(frames)
        images = paddle.concat(list(frames), axis=1)
        return self.pose([self.pose_encoder(images)] if kind == "separate_resnet" else images)


# What a pose network reads of one frame: the image, or its features with the shared encoder.
Frame = Union[Tensor, list]
