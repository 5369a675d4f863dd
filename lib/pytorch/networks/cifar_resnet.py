"""The networks of He et al. (2016) for CIFAR; `lib/keras/networks/cifar_resnet.py` is the same, layer for layer."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from lib.study.networks.cifar_resnet import blocks

Block = Callable[[int, int, int], nn.Module]
"""What builds a residual block from its numbers of inputs and of channels and its stride, 1 or 2."""


def build(
    shape: tuple[int, int, int], classes: int, depth: int, width: int = 16, skip: bool = True, shortcut: str = "A"
) -> nn.Module:
    """Build the ResNet of depth 6n + 2, for images of any size; without `skip` it is a plain network.

    With 3 channels and 10 classes, the network has 0.27 million parameters at depth 20 and 0.85 million at depth 56,
    as in the paper's table 6; shortcut A adds none.

    Raises:
        ParameterError: the depth is not 6n + 2.
    """
    block = partial(BasicBlock, shortcut=SHORTCUTS[shortcut] if skip else None)
    return CifarResNet(shape[-1], classes, blocks(depth), width, block)


class CifarResNet(nn.Module):
    """The network of He et al. (2016, section 4.2): three stages of `blocks` blocks; the first has `width` channels.

    `block` builds one of them; theirs is `BasicBlock`. Initialisation, the same in Keras: convolutions He normal on the
    fan-out, the head PyTorch's default, uniform within 1 / sqrt(fan-in) for weights and bias.
    """

    def __init__(self, channels: int, classes: int, blocks: int, width: int, block: Block) -> None:
        super().__init__()
        self.conv = conv3x3(channels, width)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.stage1 = stage(width, width, blocks, 1, block)
        self.stage2 = stage(width, 2 * width, blocks, 2, block)
        self.stage3 = stage(2 * width, 4 * width, blocks, 2, block)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = self.relu(self.bn(self.conv(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.head(x.mean((2, 3)))


class ZeroPadding(nn.Module):
    """Shortcut A: every second pixel, and as many channels of zeros again; it has no parameters."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.padding = (0, 0, 0, 0, 0, inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 2 inputs, H / 2, W / 2), rounded up."""
        return functional.pad(x[:, :, ::2, ::2], self.padding)


class Projection(nn.Sequential):
    """Shortcut B: a 1x1 convolution with stride 2 and batch normalisation."""

    def __init__(self, inputs: int) -> None:
        super().__init__(convolution(inputs, 2 * inputs, 1, stride=2), nn.BatchNorm2d(2 * inputs))


SHORTCUTS: dict[str, type[nn.Module]] = {"A": ZeroPadding, "B": Projection}
"""The shortcuts of a block that halves the map and doubles the channels; in any other block it is the input itself."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; a block of a plain network has none."""

    def __init__(self, inputs: int, channels: int, stride: int, shortcut: type[nn.Module] | None) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.shortcut = None
        if shortcut:
            self.shortcut = nn.Identity() if stride == 1 else shortcut(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, channels, H / stride, W / stride), rounded up."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu2(y + self.shortcut(x) if self.shortcut else y)


def stage(inputs: int, channels: int, blocks: int, stride: int, block: Block) -> nn.Sequential:
    """Return `blocks` blocks; the first has the stride and the change of channels."""
    rest = [block(channels, channels, 1) for _ in range(blocks - 1)]
    return nn.Sequential(block(inputs, channels, stride), *rest)


def conv3x3(inputs: int, channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without bias, padded by one pixel on every side."""
    return convolution(inputs, channels, 3, stride)


def convolution(inputs: int, channels: int, kernel: int, stride: int) -> nn.Conv2d:
    """Return a convolution without bias that keeps the size of the map but for its stride."""
    layer = nn.Conv2d(inputs, channels, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
