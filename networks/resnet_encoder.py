"""ResNet image encoder with one or several stacked input images."""

from __future__ import annotations

import math

import paddle
from paddle import Tensor, nn
from paddle.vision.models.resnet import BasicBlock, BottleneckBlock, ResNet

from networks.kinds import RESNET, RESNET_LAYERS


class ResnetEncoder(nn.Layer):
    """ResNet features at strides 2, 4, 8, 16 and 32 (He et al., CVPR 2016).

    Args:
        num_layers: 18, 34, 50, 101 or 152.
        num_images: images stacked along the channels (2 for a pose pair).
    """

    def __init__(self, num_layers: int, num_images: int = 1) -> None:
        super().__init__()
        if num_layers not in RESNET_LAYERS:
            raise ValueError(f"num_layers {num_layers}: must be one of {RESNET_LAYERS}")
        block = BasicBlock if num_layers < 50 else BottleneckBlock
        self.resnet = ResNet(block, num_layers, num_classes=0, with_pool=False)
        if num_images > 1:
            self.resnet.conv1 = nn.Conv2D(
                3 * num_images, 64, 7, stride=2, padding=3, bias_attr=False
            )
        for layer in self.resnet.sublayers():
            if isinstance(layer, nn.Conv2D):
                start_convolution(layer)
        self.variant = f"{RESNET}{num_layers}"
        self.num_images = num_images
        self.num_channels = (64, *(width * block.expansion for width in (64, 128, 256, 512)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Five feature maps, finest first, of images [B, 3 * num_images, H, W] in [0, 1]."""
        net = self.resnet
        x = (images - 0.45) / 0.225
        features = [net.relu(net.bn1(net.conv1(x)))]
        features.append(net.layer1(net.maxpool(features[-1])))
        for stage in (net.layer2, net.layer3, net.layer4):
            features.append(stage(features[-1]))
        return features


def start_convolution(layer: nn.Conv2D) -> None:
    """Draw the weights from a normal distribution of variance 2 / fan out (He et al., 2015)."""
    out_channels, _, height, width = layer.weight.shape
    deviation = math.sqrt(2 / (out_channels * height * width))
    layer.weight.set_value(paddle.randn(layer.weight.shape) * deviation)
