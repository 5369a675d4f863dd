"""Torchvision's ResNet-50, for small images."""

from torch import nn
from torchvision import models

from lib.pytorch.alignment import layers


def build(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build ResNet-50 without the max-pool; at 32x32 the first convolution is 3x3 with stride 1.

    The last feature map is 4x4 at 32 and at 64.
    """
    height, _, channels = shape
    model = models.resnet50(num_classes=classes)
    model.maxpool = nn.Identity()
    if height == 32 or channels != 3:
        kernel, stride = (3, 1) if height == 32 else (7, 2)
        model.conv1 = nn.Conv2d(channels, 64, kernel, stride, padding=kernel // 2, bias=False)
        # A new layer has PyTorch's default initialisation, not torchvision's.
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model


def _add_conv_biases(network: nn.Module) -> None:
    """Give every convolution a bias, which starts at zero."""
    for conv in layers(network, nn.Conv2d).values():
        conv.bias = nn.Parameter(conv.weight.new_zeros(conv.out_channels))


def _stride_in_the_first_convolution(network: nn.Module) -> None:
    """Move the stride of each stage from the 3x3 convolution to the 1x1 before it: v1.5 becomes v1."""
    for block in layers(network, models.resnet.Bottleneck).values():
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


EDITS = {"conv_bias": _add_conv_biases, "stride": _stride_in_the_first_convolution}
