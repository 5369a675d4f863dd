"""Torchvision's ResNets, for small images."""

from typing import Any

from torch import nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, Bottleneck

from lib.pytorch.alignment import layers

MEMBERS = {18: (BasicBlock, (2, 2, 2, 2)), 50: (Bottleneck, (3, 4, 6, 3))}
"""The block, and the number of blocks per stage, of each depth (He et al. 2016, table 1)."""


def build(shape: tuple[int, int, int], classes: int, depth: int = 50, width: int = 64) -> nn.Module:
    """Build a ResNet without the max-pool; up to 32x32 the first convolution is 3x3 with stride 1.

    The last feature map is 4x4 at 28, 32 and 64. `width` is the number of channels of the first stage.
    """
    height, _, channels = shape
    model = Scaled(*MEMBERS[depth], classes, width)
    model.maxpool = nn.Identity()
    if height <= 32 or channels != 3 or width != 64:
        kernel, stride = (3, 1) if height <= 32 else (7, 2)
        model.conv1 = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
        # A new layer has PyTorch's default initialisation, not torchvision's.
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model


class Scaled(models.ResNet):
    """Torchvision's ResNet with `width` channels in the first stage instead of 64."""

    def __init__(self, block: type[nn.Module], stages: tuple[int, ...], classes: int, width: int) -> None:
        self._width = width  # `_make_layer`, called by torchvision's constructor, needs it
        super().__init__(block, stages, classes)
        if width != 64:
            self.bn1 = nn.BatchNorm2d(width)
            self.fc = nn.Linear(self.fc.in_features * width // 64, classes)

    def _make_layer(self, block: type[nn.Module], planes: int, *options: Any, **named: Any) -> nn.Sequential:
        if planes == 64:
            self.inplanes = self._width
        return super()._make_layer(block, planes * self._width // 64, *options, **named)


def _add_conv_biases(network: nn.Module) -> None:
    """Give every convolution a bias, which starts at zero."""
    for conv in layers(network, nn.Conv2d).values():
        conv.bias = nn.Parameter(conv.weight.new_zeros(conv.out_channels))


def _stride_in_the_first_convolution(network: nn.Module) -> None:
    """Move the stride of each stage from the 3x3 convolution to the 1x1 before it: v1.5 becomes v1."""
    for block in layers(network, Bottleneck).values():
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


EDITS = {"conv_bias": _add_conv_biases, "stride": _stride_in_the_first_convolution}
