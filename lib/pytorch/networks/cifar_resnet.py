"""The ResNets of He et al. (2016) for CIFAR; `lib/keras/networks/cifar_resnet.py` is the same, layer for layer."""

from torch import Tensor, nn
from torch.nn import functional

from lib.study.networks.cifar_resnet import blocks


def build(shape: tuple[int, int, int], classes: int, depth: int, width: int = 16, skip: bool = True) -> nn.Module:
    """Build the ResNet of depth 6n + 2, for images of any size; without `skip` it is a plain network.

    Raises:
        ParameterError: the depth is not 6n + 2.
    """
    return CifarResNet(shape[-1], classes, blocks(depth), width, skip)


class CifarResNet(nn.Module):
    """The ResNet of He et al. (2016, section 4.2): three stages of `blocks` blocks, of `width` channels and its double.

    Initialisation, the same in Keras: convolutions He normal on the fan-out, the head PyTorch's default, uniform within
    1 / sqrt(fan-in) for weights and bias.
    """

    def __init__(self, channels: int, classes: int, blocks: int, width: int, skip: bool) -> None:
        super().__init__()
        self.conv = conv3x3(channels, width)
        self.bn = nn.BatchNorm2d(width)
        self.stage1 = stage(width, width, blocks, stride=1, skip=skip)
        self.stage2 = stage(width, 2 * width, blocks, stride=2, skip=skip)
        self.stage3 = stage(2 * width, 4 * width, blocks, stride=2, skip=skip)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = functional.relu(self.bn(self.conv(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.head(x.mean((2, 3)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and, unless the network is plain, a shortcut without parameters (option A)."""

    def __init__(self, inputs: int, channels: int, stride: int, skip: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, channels, H / stride, W / stride), rounded up."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + shortcut(x, self.stride) if self.skip else y)


def stage(inputs: int, channels: int, blocks: int, stride: int, skip: bool) -> nn.Sequential:
    """Return `blocks` blocks; the first has the stride and the change of channels."""
    rest = [BasicBlock(channels, channels, stride=1, skip=skip) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(inputs, channels, stride, skip), *rest)


def conv3x3(inputs: int, channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without bias, padded by one pixel on every side."""
    layer = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def shortcut(x: Tensor, stride: int) -> Tensor:
    """Return `x` itself, or, with stride 2, every second pixel and as many channels of zeros again."""
    if stride == 1:
        return x
    return functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, x.shape[1]))
