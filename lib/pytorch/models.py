"""The benchmark's models in PyTorch: images in as float32 (N, 3, H, W), logits out, every weight drawn anew.

`mobilenetv2`, `resnet50` and `convnext_tiny` are torchvision's, with stems for small images: their last feature map is
2x2, 4x4 and 4x4, at 32x32 and at 64x64 alike. `resnet20` is written here and, layer for layer, in `lib.keras.models`.
Where the conventions ask for it, a model follows Keras in what the two libraries do differently.
"""

from torch import Tensor, nn
from torch.nn import functional

from lib.pytorch import torchvision_ops  # noqa: F401  (before torchvision)
from lib.pytorch.alignment import align
from lib.study.conventions import Conventions, followed
from lib.study.models import Builder, choose

from torchvision import models  # isort: skip

NATIVE = followed("pytorch", (), "pytorch")
"""PyTorch's own convention in every switch."""


def build(model: str, size: int, classes: int, conventions: Conventions = NATIVE) -> nn.Module:
    """Build the model named `model` for images of `size` x `size` pixels, with `classes` logits.

    The conventions change the network alone: its weights are drawn as PyTorch draws them.

    Raises:
        ParameterError: the model or the size is unknown.
    """
    network = choose(MODELS, model, size)(size, classes)
    align(network, model, conventions)
    return network


def parameters(model: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def mobilenetv2(size: int, classes: int) -> nn.Module:
    """Build torchvision's MobileNetV2; at 32x32 the first convolution keeps the resolution."""
    model = models.mobilenet_v2(num_classes=classes)
    if size == 32:
        model.features[0][0].stride = (1, 1)
    return model


def resnet50(size: int, classes: int) -> nn.Module:
    """Build torchvision's ResNet-50 without the max-pool; at 32x32 the first convolution is 3x3 with stride 1."""
    model = models.resnet50(num_classes=classes)
    model.maxpool = nn.Identity()
    if size == 32:
        model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        # A replaced layer comes with PyTorch's default initialisation, not with torchvision's.
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model


def convnext_tiny(size: int, classes: int) -> nn.Module:
    """Build torchvision's ConvNeXt-Tiny; the stem is 3x3 with stride 1 at 32x32, and 2x2 with stride 2 at 64x64."""
    model = models.convnext_tiny(num_classes=classes)
    stem = nn.Conv2d(3, 96, 3, stride=1, padding=1) if size == 32 else nn.Conv2d(3, 96, 2, stride=2)
    nn.init.trunc_normal_(stem.weight, std=0.02)
    nn.init.zeros_(stem.bias)
    model.features[0][0] = stem
    return model


def resnet20(size: int, classes: int) -> nn.Module:
    """Build the ResNet-20 of He et al. (2016) for CIFAR; it takes any `size`."""
    return CifarResNet(20, classes)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters (option A of He et al., 2016)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, channels, H / stride, W / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + shortcut(x, self.stride))


class CifarResNet(nn.Module):
    """The ResNet of He et al. (2016, section 4.2) for CIFAR, of depth 6n + 2: three stages of n blocks.

    Initialisation, the same in Keras: convolutions He normal on the fan-out, the head PyTorch's default, uniform within
    1 / sqrt(fan-in) for weights and bias.
    """

    def __init__(self, depth: int, classes: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv = conv3x3(3, 16)
        self.bn = nn.BatchNorm2d(16)
        self.stage1 = stage(16, 16, blocks, stride=1)
        self.stage2 = stage(16, 32, blocks, stride=2)
        self.stage3 = stage(32, 64, blocks, stride=2)
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, classes)."""
        x = functional.relu(self.bn(self.conv(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.head(x.mean((2, 3)))


def stage(inputs: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    """Return `blocks` blocks; the first takes the stride and the change of channels."""
    rest = [BasicBlock(channels, channels, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(inputs, channels, stride), *rest)


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


MODELS: dict[str, Builder[nn.Module]] = {
    "mobilenetv2": mobilenetv2,
    "resnet50": resnet50,
    "convnext_tiny": convnext_tiny,
    "resnet20": resnet20,
}
"""Every model by name."""
