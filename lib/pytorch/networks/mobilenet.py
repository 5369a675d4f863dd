"""Torchvision's MobileNetV2, for small images."""

from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from lib.pytorch.alignment import layers


def build(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build MobileNetV2; at 32x32 the first convolution has stride 1. The last feature map is 2x2 at 32 and at 64."""
    height, _, channels = shape
    model = models.mobilenet_v2(num_classes=classes)
    first = model.features[0]
    if channels != 3:
        first[0] = nn.Conv2d(channels, first[0].out_channels, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(first[0].weight, mode="fan_out")  # as torchvision initialises the replaced one
    if height == 32:
        first[0].stride = (1, 1)
    return model


def _pad_as_keras(network: nn.Module) -> None:
    """Pad convolutions of stride 2 only below and on the right, as Keras' "same" and its explicit padding do."""
    for conv in layers(network, nn.Conv2d).values():
        if conv.stride == (2, 2):
            conv.padding = (0, 0)
            conv.register_forward_pre_hook(_pad_below_and_right)


def _pad_below_and_right(conv: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    return functional.pad(inputs[0], (0, 1, 0, 1))


EDITS = {"padding": _pad_as_keras}
