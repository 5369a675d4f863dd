"""GhostNet, and the ResNets for CIFAR whose residual blocks are made of Ghost modules, all by timm's Ghost module."""

from functools import partial

from timm.models.ghostnet import GhostModule, ghostnet_100
from torch import Tensor, nn

from lib.pytorch.networks.cifar_resnet import CifarResNet, ZeroPadding
from lib.study.networks.cifar_resnet import blocks


def build(
    shape: tuple[int, int, int], classes: int, depth: int | None = None, ratio: int = 2, kernel: int = 3
) -> nn.Module:
    """Build the Ghost-ResNet of depth 6n + 2 for images of any size, or GhostNet where no depth is given.

    Ghost-ResNets (Han et al. 2020, section 4.1) are the ResNets for CIFAR with shortcut A and Ghost modules in their
    blocks. The paper replaces all convolutions; here the first, of 432 weights, is left, as in GhostNet. `kernel` is
    the width of a module's primary convolution, 1 by timm's default and 3 in what it replaces. With 32x32x3 images and
    100 classes: 0.145 million parameters and 21.3 million multiply-adds at depth 20, 0.245 and 35.9 at depth 32; the
    last feature map is 8x8, as in the ResNets.

    Raises:
        ParameterError: the depth is not 6n + 2.
    """
    if depth is None:
        return ghostnet(shape[-1], classes)
    block = partial(GhostBlock, ratio=ratio, kernel=kernel)
    return CifarResNet(shape[-1], classes, blocks(depth), 16, block)


class GhostBlock(nn.Module):
    """The basic block of a ResNet for CIFAR with Ghost modules for its 3x3 convolutions (Han et al. 2020, section 4.1).

    A module has its own batch normalisations. Convolutions start He normal on the fan-out, as in the rest of the
    network.
    """

    def __init__(self, inputs: int, channels: int, stride: int, ratio: int, kernel: int) -> None:
        super().__init__()
        self.ghost1 = GhostModule(inputs, channels, kernel, ratio, stride=stride)
        # The activation of the second module comes after the sum.
        self.ghost2 = GhostModule(channels, channels, kernel, ratio, act_layer=nn.Identity)
        self.shortcut = nn.Identity() if stride == 1 else ZeroPadding(inputs)
        self.relu = nn.ReLU()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, channels, H / stride, W / stride), rounded up."""
        return self.relu(self.ghost2(self.ghost1(x)) + self.shortcut(x))


def ghostnet(channels: int, classes: int) -> nn.Module:
    """Build timm's GhostNet (Han et al. 2020, table 1), initialised as there, for images of 32x32.

    Two of its five strides are 1 here, that of the first convolution and that of the stage with 24 channels, so that
    the last feature map is 4x4. The earliest are taken since the late stages have most of the layers and parameters:
    the maps of 40, 80 and 160 channels are 16x16, 8x8 and 4x4. No layer is added or left out. With 3 channels and 100
    classes: 4.03 million parameters, 43.2 million multiply-adds.
    """
    network = ghostnet_100(in_chans=channels, num_classes=classes)
    wider = network.blocks[1][0]  # the block of the stage with 24 channels that has its stride
    for convolution in (network.conv_stem, wider.conv_dw, wider.shortcut[0]):
        convolution.stride = (1, 1)
    return network
