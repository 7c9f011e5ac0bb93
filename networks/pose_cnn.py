"""A small convolutional pose network without an encoder."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

from networks.convolution import conv
from networks.pose_decoder import motions_from_map

# (output channels, kernel size) of each stride-2 convolution
LAYERS = ((16, 7), (32, 5), (64, 3), (128, 3), (256, 3), (256, 3), (256, 3))


class PoseCNN(nn.Layer):
    """The pose network of Zhou et al. (CVPR 2017), an alternative to the ResNet one.

    Args:
        num_images: images stacked along the channels.
    """

    def __init__(self, num_images: int) -> None:
        super().__init__()
        self.num_motions = num_images - 1
        channels = 3 * num_images
        for index, (out_channels, kernel) in enumerate(LAYERS):
            layer = conv(channels, out_channels, kernel, stride=2, padding=kernel // 2)
            self.add_sublayer(f"conv_{index}", layer)
            channels = out_channels
        self.pose_conv = conv(channels, 6 * self.num_motions, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Axis-angle and translation [B, num_images - 1, 3] of images [B, 3 * num_images, H, W]."""
        x = images
        for index in range(len(LAYERS)):
            x = F.relu(getattr(self, f"conv_{index}")(x))
        return motions_from_map(self.pose_conv(x), self.num_motions)
