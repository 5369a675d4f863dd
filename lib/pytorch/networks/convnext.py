"""Torchvision's ConvNeXt-Tiny, for small images."""

from torch import nn
from torchvision import models


def build(shape: tuple[int, int, int], classes: int, stem: str = "small", drop_path: float = 0.1) -> nn.Module:
    """Build ConvNeXt-Tiny (Liu et al. 2022); the small stem is 3x3 with stride 1 at 32x32, and 2x2 with stride 2 at 64.

    The last feature map is 4x4 at 32 and at 64. The stem `imagenet` is the paper's, 4x4 with stride 4, whose last map
    is 1x1 at 32. With 3 channels and 100 classes, the network has 27.90 million parameters, and 1,453 million
    multiply-adds at 32x32; with the paper's stem they are 27.90 and 91 million.
    """
    height, _, channels = shape
    model = models.convnext_tiny(num_classes=classes, stochastic_depth_prob=drop_path)
    small, large = {"kernel_size": 3, "stride": 1, "padding": 1}, {"kernel_size": 2, "stride": 2}
    if stem == "imagenet":
        first = nn.Conv2d(channels, 96, kernel_size=4, stride=4)
    else:
        first = nn.Conv2d(channels, 96, **(small if height == 32 else large))
    # A new layer has PyTorch's default initialisation, not torchvision's.
    nn.init.trunc_normal_(first.weight, std=0.02)
    nn.init.zeros_(first.bias)
    model.features[0][0] = first
    return model
