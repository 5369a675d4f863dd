"""Timm's CoAtNets (Dai et al. 2021), for small images."""

from functools import partial

import torch
from timm.layers import GELU
from timm.models.maxxvit import MaxxVit, model_cfgs
from torch import Tensor, nn

from lib.pytorch.alignment import layers


def build(
    shape: tuple[int, int, int],
    classes: int,
    configuration: str = "coatnet_0",
    stem_kernel: int = 3,
    selective: bool = False,
    drop_path: float = 0.0,
) -> nn.Module:
    """Build a CoAtNet (Dai et al. 2021, section 2.2) of one of timm's configurations.

    Neither the stem nor the first stage halves the map here. At 32x32, the two stages of convolutions work on 32x32
    and 16x16, and the two of attention on 8x8 and 4x4, the last map; timm's network would leave them 2x2 and 1x1. The
    first convolution of the stem is `stem_kernel` wide. With `selective`, large selective kernels stand in for
    squeeze-and-excitation behind the depthwise convolutions.

    With 3 channels and 100 classes at 32x32, in millions of parameters and of multiply-adds: `coatnet_0` 24.31 and
    1,257, selective 27.38 and 2,491; `coatnet_0_rw`, timm's own variant with seven blocks in the third stage, 26.70
    and 1,336, with a 7x7 stem 26.70 and 1,340.
    """
    height, width, channels = shape
    network = MaxxVit(
        model_cfgs[configuration],
        img_size=(4 * height, 4 * width),  # timm sizes its maps by five halvings, two of which go below
        in_chans=channels,
        num_classes=classes,
        drop_path_rate=drop_path,
        conv_attn_layer=LargeSelectiveKernel if selective else "se",
    )
    conv = nn.Conv2d(channels, network.stem.conv1.out_channels, stem_kernel, padding=stem_kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")  # as timm draws the replaced one
    network.stem.conv1 = conv
    block = network.stages[0].blocks[0]
    block.shortcut.pool = nn.Identity()
    block.down = nn.Identity()  # timm strides here in `coatnet_0_rw`, and in the depthwise convolution in `coatnet_0`
    block.conv2_kxk.stride = (1, 1)
    for name in layers(network, GELU):
        network.set_submodule(name, nn.GELU())  # the same function, of the class that the measurement of layers knows
    return network


class LargeSelectiveKernel(nn.Module):
    """The large selective kernel unit with LSKNet's two kernels (Li et al. 2023, sections 3.2 and 3.3).

    A depthwise 5x5 and, behind it, a 7x7 with dilation 3 see 5 and 23 pixels; the mean and the maximum over the
    channels of both choose between them at each place.
    """

    def __init__(self, channels: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        convolution = partial(nn.Conv2d, device=device, dtype=dtype)
        self.small = convolution(channels, channels, 5, padding=2, groups=channels)
        self.large = convolution(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.narrow = nn.ModuleList(convolution(channels, channels // 2, 1) for _ in range(2))
        self.choose = convolution(2, 2, 7, padding=3)
        self.widen = convolution(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        small = self.small(x)
        maps = [narrow(seen) for narrow, seen in zip(self.narrow, (small, self.large(small)), strict=True)]
        both = torch.cat(maps, dim=1)
        # `amax`, because the gradient of `max` is scattered by index.
        shares = self.choose(torch.cat([both.mean(1, keepdim=True), both.amax(1, keepdim=True)], dim=1)).sigmoid()
        return x * self.widen(maps[0] * shares[:, :1] + maps[1] * shares[:, 1:])
