"""HorNet (Rao et al. 2022), for small images."""

from functools import partial
from itertools import pairwise

from timm.layers import ConvMlp, DropPath, LayerNorm2d, LayerScale2d
from torch import Tensor, nn

from lib.pytorch.networks.improved import pyramid

WIDTHS, DEPTHS, ORDERS = (64, 128, 256, 512), (2, 3, 18, 2), (2, 3, 4, 5)
"""HorNet-T's channels, blocks and orders of the gated convolution by stage (section 3)."""


def build(shape: tuple[int, int, int], classes: int, drop_path: float = 0.0) -> nn.Module:
    """Build HorNet-T with 7x7 kernels (Rao et al. 2022, section 3), with a 3x3 stem of stride 1.

    The paper's stem is 4x4 with stride 4: it would leave a last map of 1x1 instead of 4x4. With 3 channels and 100
    classes, the network has 21.95 million parameters, and 1,294 million multiply-adds at 32x32.
    """
    return network(nn.Conv2d(shape[-1], WIDTHS[0], 3, padding=1), classes, drop_path)


def network(stem: nn.Conv2d, classes: int, drop_path: float = 0.0) -> nn.Module:
    """Return HorNet-T behind a stem: images (N, C, H, W) to logits (N, classes)."""
    return pyramid(stem, classes, WIDTHS, DEPTHS, [partial(Block, order=order) for order in ORDERS], drop_path)


class GatedConvolution(nn.Module):
    """The recursive gated convolution g^nConv (section 3.1), with a 7x7 depthwise convolution.

    `order` is n. The gates have channels / 2^(n-1), ..., channels / 2, channels channels, and their sum goes through
    one depthwise convolution. `scale` divides by 3, as in the published models, and stabilises the training.
    """

    def __init__(self, channels: int, order: int) -> None:
        super().__init__()
        self.widths = [channels // 2**power for power in reversed(range(order))]
        gates = sum(self.widths)
        self.scale = 1 / 3
        self.enter = nn.Conv2d(channels, self.widths[0] + gates, 1)
        self.depthwise = nn.Conv2d(gates, gates, 7, padding=3, groups=gates)
        self.widen = nn.ModuleList(nn.Conv2d(narrow, wide, 1) for narrow, wide in pairwise(self.widths))
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x, gates = self.enter(x).split((self.widths[0], sum(self.widths)), dim=1)
        first, *others = (self.depthwise(gates) * self.scale).split(self.widths, dim=1)
        x = x * first
        for widen, gate in zip(self.widen, others, strict=True):
            x = widen(x) * gate
        return self.leave(x)


class Block(nn.Module):
    """A gated convolution and a perceptron of ratio 4, each normalised, scaled from 1e-6 on and added to its input."""

    def __init__(self, channels: int, order: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayerNorm2d(channels), LayerNorm2d(channels)
        self.gated = GatedConvolution(channels, order)
        self.mlp = ConvMlp(channels, 4 * channels, act_layer=nn.GELU)
        self.scale1, self.scale2 = LayerScale2d(channels, 1e-6), LayerScale2d(channels, 1e-6)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x + self.drop_path(self.scale1(self.gated(self.norm1(x))))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))
