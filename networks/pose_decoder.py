"""Decoder from encoder features to camera motion."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from networks.convolution import conv

# Motions start small, so that the first warps are near the identity.
MOTION_SCALE = 0.01


class PoseDecoder(nn.Layer):
    """Axis-angle and translation from the last feature maps (paper, section 4).

    Args:
        encoder_channels: channels of the encoder's five feature maps.
        num_feature_sets: feature sets read side by side: 1 from a pose encoder that saw the
            stacked frames, the number of frames with the shared encoder.
        num_motions: motions predicted.
    """

    def __init__(
        self, encoder_channels: Sequence[int], num_feature_sets: int, num_motions: int
    ) -> None:
        super().__init__()
        self.num_motions = num_motions
        self.squeeze = conv(encoder_channels[-1], 256, 1)
        self.pose_0 = conv(num_feature_sets * 256, 256, 3, padding=1)
        self.pose_1 = conv(256, 256, 3, padding=1)
        self.pose_2 = conv(256, 6 * num_motions, 1)

    def forward(self, feature_sets: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Axis-angle (radians) and translation (model units), each [B, num_motions, 3]."""
        squeezed = [F.relu(self.squeeze(features[-1])) for features in feature_sets]
        x = F.relu(self.pose_0(paddle.concat(squeezed, axis=1)))
        x = F.relu(self.pose_1(x))
        return motions_from_map(self.pose_2(x), self.num_motions)


def motions_from_map(x: Tensor, num_motions: int) -> tuple[Tensor, Tensor]:
    """Average a map [B, 6 * num_motions, h, w] into axis-angle and translation [B, n, 3]."""
    motions = MOTION_SCALE * x.mean(axis=[2, 3]).reshape([-1, num_motions, 6])
    return motions[:, :, :3], motions[:, :, 3:]
