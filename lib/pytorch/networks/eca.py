"""The ResNets for CIFAR with efficient channel attention in their blocks, by timm's layer."""

from functools import partial

from timm.layers import EcaModule
from torch import Tensor, nn

from lib.pytorch.networks.cifar_resnet import BasicBlock, CifarResNet, ZeroPadding
from lib.study.networks.cifar_resnet import blocks


def build(
    shape: tuple[int, int, int], classes: int, depth: int, kernel: int | str = "adaptive", place: str = "second"
) -> nn.Module:
    """Build the ResNet of depth 6n + 2 with shortcut A and ECA (Wang et al. 2020), for images of any size.

    The network is that of `cifar_resnet`, which is made for small images. `kernel` is how many channels the attention
    of one looks at; the adaptive one (section 3.2.3, equation 12, gamma 2 and b 1) is 3 for 16, 32 and 64 channels
    alike. `place` is where the attention sits in a block: behind the `first` or the `second` convolution and its batch
    normalisation, or behind the `sum`; `none` leaves the plain ResNet. With 32x32x3 images and 100 classes: 0.276
    million parameters and 40.8 million multiply-adds at depth 20, 0.470 and 69.1 at depth 32; the last feature map is
    8x8.

    Raises:
        ParameterError: the depth is not 6n + 2.
    """
    block = partial(AttentionBlock, kernel=kernel, place=place)
    return CifarResNet(shape[-1], classes, blocks(depth), 16, block)


class AttentionBlock(BasicBlock):
    """The basic block of a ResNet for CIFAR with attention at one place."""

    def __init__(self, inputs: int, channels: int, stride: int, kernel: int | str, place: str) -> None:
        super().__init__(inputs, channels, stride, ZeroPadding)
        places = ("first", "second", "sum")
        self.first, self.second, self.sum = (attention(channels, kernel, place == here) for here in places)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, channels, H / stride, W / stride), rounded up."""
        y = self.relu1(self.first(self.bn1(self.conv1(x))))
        y = self.second(self.bn2(self.conv2(y)))
        return self.relu2(self.sum(y + self.shortcut(x)))


def attention(channels: int, kernel: int | str, here: bool) -> nn.Module:
    """Return ECA for this many channels, or the identity where it is not `here`."""
    if not here:
        return nn.Identity()
    return EcaModule(channels) if kernel == "adaptive" else EcaModule(kernel_size=kernel)
