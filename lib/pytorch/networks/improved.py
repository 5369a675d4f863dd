"""The ResNet of 20 layers for CIFAR with the ideas of ConvNeXt, and the frame that other networks share with it."""

from collections.abc import Callable, Sequence
from functools import partial

from timm.layers import LayerNorm2d, calculate_drop_path_rates
from timm.models.convnext import ConvNeXtBlock
from torch import nn

WIDTHS, DEPTHS = (16, 32, 64), (3, 3, 3)
"""The channels and blocks of the stages: those of the ResNet with 20 layers of He et al. (2016, section 4.2)."""


def build(shape: tuple[int, int, int], classes: int, drop_path: float = 0.0) -> nn.Module:
    """Build the ResNet of 20 layers with the ideas of ConvNeXt (Liu et al. 2022, section 2), for images of any size.

    A block is a depthwise 7x7 convolution, layer normalisation, and an inverted bottleneck of ratio 4 with one GELU; it
    has no layer scale, which is no part of that section. Separate 3x3 convolutions with stride 2 halve the map: the
    paper's 2x2 would be 0.166 million parameters. The stem is the ResNet's, 3x3 with stride 1. With 3 channels and 100
    classes, the network has 0.179 million parameters, and 25.9 million multiply-adds at 32x32, where the last map is
    8x8, as in the ResNet.
    """
    stem = nn.Conv2d(shape[-1], WIDTHS[0], 3, padding=1)
    blocks = [partial(ConvNeXtBlock, conv_mlp=True, ls_init_value=None, act_layer=nn.GELU)] * len(WIDTHS)
    return pyramid(stem, classes, WIDTHS, DEPTHS, blocks, drop_path, kernel=3)


def pyramid(
    stem: nn.Conv2d,
    classes: int,
    widths: Sequence[int],
    depths: Sequence[int],
    blocks: Sequence[Callable[..., nn.Module]],
    drop_path: float,
    kernel: int = 2,
) -> nn.Sequential:
    """Return ConvNeXt's frame (Liu et al. 2022): images (N, C, H, W) to logits (N, classes).

    `blocks` makes the block of each stage from its channels and `drop_path`, which rises over the blocks from 0. Layer
    normalisation comes after the stem, before each convolution with stride 2 and after the global average. Every weight
    is drawn as in ConvNeXt, normal with a deviation of 0.02.
    """
    rates = calculate_drop_path_rates(drop_path, depths, stagewise=True)
    stages = []
    for number, (width, block) in enumerate(zip(widths, blocks, strict=True)):
        if number == 0:
            entry = stem, LayerNorm2d(width)
        else:
            before = widths[number - 1]
            entry = LayerNorm2d(before), nn.Conv2d(before, width, kernel, stride=2, padding=(kernel - 1) // 2)
        stages.append(nn.Sequential(*entry, *(block(width, drop_path=rate) for rate in rates[number])))
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(widths[-1], eps=1e-6), nn.Linear(widths[-1], classes)
    return nn.Sequential(*stages, *head).apply(_initialise)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
