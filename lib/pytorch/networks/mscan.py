"""MSCAN, the encoder of SegNeXt (Guo et al. 2022), as a classifier of small images."""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from timm.layers import DropPath, LayerNorm2d, LayerScale2d, calculate_drop_path_rates
from torch import Tensor, nn

RATIOS = (8, 8, 4, 4)
"""The widening of the feed-forward part by stage (table 2)."""


def build(
    shape: tuple[int, int, int], classes: int, widths: Sequence[int], depths: Sequence[int], drop_path: float = 0.0
) -> nn.Module:
    """Build MSCAN (Guo et al. 2022, section 3.1) with these channels and blocks per stage.

    The stem's two 3x3 convolutions have stride 1 instead of 2, so that the last map is 4x4 at 32x32; there, the outer
    weights of the long kernels meet zeros only. MSCAN-T has 32, 64, 160, 256 channels and 3, 3, 5, 2 blocks. With half
    of these channels, one block in the last stage, 3 channels and 100 classes, the network has 0.857 million
    parameters, and 77.6 million multiply-adds at 32x32.
    """
    return MSCAN(shape[-1], classes, widths, depths, drop_path, stride=1)


class MSCAN(nn.Module):
    """Four stages that halve the map between them, a global average and a linear head.

    `stride` is that of the stem's two convolutions: 2 in the paper. A stage ends with layer normalisation, as in the
    authors' code. Convolutions start as He normal on the fan-out, the head with a deviation of 0.02.
    """

    def __init__(
        self, channels: int, classes: int, widths: Sequence[int], depths: Sequence[int], drop_path: float, stride: int
    ) -> None:
        super().__init__()
        first = widths[0]
        stem = nn.Sequential(
            *_normalised(channels, first // 2, stride), nn.GELU(), *_normalised(first // 2, first, stride)
        )
        entries = stem, *(nn.Sequential(*_normalised(before, width, 2)) for before, width in pairwise(widths))
        rates = calculate_drop_path_rates(drop_path, depths, stagewise=True)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(entry, *(Block(width, ratio, rate) for rate in drops), LayerNorm2d(width))
                for entry, width, ratio, drops in zip(entries, widths, RATIOS, rates, strict=True)
            )
        )
        self.head = nn.Linear(widths[-1], classes)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return self.head(self.stages(x).mean((2, 3)))


class MultiScaleAttention(nn.Module):
    """Multi-scale convolutional attention (equations 1 and 2): weights for its input from strips of 7, 11 and 21."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.local = _depthwise(channels, 5, 5)
        self.strips = nn.ModuleList(
            nn.Sequential(_depthwise(channels, 1, length), _depthwise(channels, length, 1)) for length in (7, 11, 21)
        )
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        local = self.local(x)
        return self.mix(local + sum(strip(local) for strip in self.strips)) * x


class Attention(nn.Sequential):
    """Multi-scale attention between two 1x1 convolutions, added to its input, as in the authors' code."""

    def __init__(self, channels: int) -> None:
        enter, leave = (nn.Conv2d(channels, channels, 1) for _ in range(2))
        super().__init__(enter, nn.GELU(), MultiScaleAttention(channels), leave)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x + super().forward(x)


class Block(nn.Module):
    """Attention and a feed-forward part, each normalised, scaled from 0.01 on and added to its input."""

    def __init__(self, channels: int, ratio: int, drop_path: float) -> None:
        super().__init__()
        hidden = ratio * channels
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.attention = Attention(channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), _depthwise(hidden, 3, 3), nn.GELU(), nn.Conv2d(hidden, channels, 1)
        )
        self.scale1, self.scale2 = LayerScale2d(channels, 0.01), LayerScale2d(channels, 0.01)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x + self.drop_path(self.scale1(self.attention(self.norm1(x))))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))


def _depthwise(channels: int, height: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, (height, width), padding=(height // 2, width // 2), groups=channels)


def _normalised(inputs: int, channels: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False), nn.BatchNorm2d(channels)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        fan_out = layer.weight[:, 0].numel() / layer.groups  # `kaiming_normal_` leaves the groups out
        nn.init.normal_(layer.weight, std=sqrt(2 / fan_out))
    elif isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
