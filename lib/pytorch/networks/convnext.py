"""Torchvision's ConvNeXt-Tiny, for small images."""

from torch import nn
from torchvision import models


def build(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build ConvNeXt-Tiny; the stem is 3x3 with stride 1 at 32x32, and 2x2 with stride 2 at 64x64.

    The last feature map is 4x4 at 32 and at 64.
    """
    height, _, channels = shape
    model = models.convnext_tiny(num_classes=classes)
    small, large = {"kernel_size": 3, "stride": 1, "padding": 1}, {"kernel_size": 2, "stride": 2}
    stem = nn.Conv2d(channels, 96, **(small if height == 32 else large))
    # A new layer has PyTorch's default initialisation, not torchvision's.
    nn.init.trunc_normal_(stem.weight, std=0.02)
    nn.init.zeros_(stem.bias)
    model.features[0][0] = stem
    return model
