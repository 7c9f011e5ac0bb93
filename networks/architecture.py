"""What decides the networks of Monodepth2, said without Paddle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from datasets.conventions import STEREO
from networks.kinds import RESNET

SourceId = Union[int, str]


@dataclass(frozen=True)
class Architecture:
    """What decides the shape of every parameter.

    Attributes:
        num_layers: of the ResNets.
        encoder: of depth: ``resnet``, or the name of a ConvNeXt. Motion is predicted by a ResNet.
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
    encoder: str = RESNET

    @property
    def temporal_ids(self) -> tuple[int, ...]:
        """The sources that differ in time, whose motion is predicted."""
        return tuple(i for i in self.source_ids if i != STEREO)

    @property
    def num_pose_images(self) -> int:
        """Images that the pose network sees at once."""
        return 2 if self.pose_model_input == "pairs" else 1 + len(self.temporal_ids)
