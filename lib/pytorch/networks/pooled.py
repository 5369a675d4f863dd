"""Stacks of 3x3 convolutions with a max-pool between stages: ResNet-9 and VGG-11, for small images."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}
"""The activations by name, each with its defaults in `torch.nn`."""

RESNET9 = ("1", "2", "M", "r", "4", "M", "8", "M", "r")
"""ResNet-9 (Page 2019, "How to train your ResNet"): multiples of `width`, `M` a max-pool, `r` a residual."""

VGG11 = ("1", "M", "2", "M", "4", "4", "M", "8", "8", "M", "8", "8")
"""VGG-11 (Simonyan and Zisserman 2015, table 1, A) without its last max-pool, which needs 32 pixels."""

PLANS = {"resnet9": (RESNET9, 0.125), "vgg11": (VGG11, 1.0)}
"""The plans by name, each with the factor of its logits. Page's 0.125 is what makes a learning rate of 0.1 bearable."""


def build(
    shape: tuple[int, int, int],
    classes: int,
    plan: str,
    width: int = 64,
    skip: bool = True,
    batch_norm: bool = True,
    activation: str = "relu",
    dropout: float = 0.0,
) -> nn.Module:
    """Build the network of a plan for images of 16 pixels or more; without `skip` a residual is two plain convolutions.

    The last map is reduced by a global max-pool and mapped to logits by one linear layer, as in ResNet-9, whose logits
    have a factor of 0.125. The layer has a bias, unlike Page's; VGG's three linear layers are left out. Without batch
    normalisation a convolution has a bias. With 3 channels, 10 classes and width 64, ResNet-9 has 6.57 million
    parameters, VGG-11 9.23 million.
    """
    block = partial(Convolution, batch_norm=batch_norm, activation=ACTIVATIONS[activation])
    steps, factor = PLANS[plan]
    return Pooled(shape[-1], classes, steps, factor, width, skip, block, dropout)


class Convolution(nn.Sequential):
    """A 3x3 convolution, batch normalisation or a bias instead, and an activation.

    Convolutions start as He normal on the fan-out with the gain of ReLU, whatever the activation.
    """

    def __init__(self, inputs: int, channels: int, batch_norm: bool, activation: type[nn.Module]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 3, padding=1, bias=not batch_norm)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        if batch_norm:
            self.bn = nn.BatchNorm2d(channels)
        else:
            nn.init.zeros_(self.conv.bias)
        self.activation = activation()


class Residual(nn.Sequential):
    """Two convolutions, whose input is added to their output."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x + super().forward(x)


class Pooled(nn.Module):
    """The body of a plan, a global max-pool, dropout, and a linear head with a factor."""

    def __init__(
        self,
        channels: int,
        classes: int,
        plan: Sequence[str],
        factor: float,
        width: int,
        skip: bool,
        block: partial[Convolution],
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for step in plan:
            if step == "M":
                layers.append(nn.MaxPool2d(2))
            elif step == "r":
                pair = (block(channels, channels), block(channels, channels))
                layers.append((Residual if skip else nn.Sequential)(*pair))
            else:
                inputs, channels = channels, width * int(step)
                layers.append(block(inputs, channels))
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, classes)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return self.factor * self.head(self.dropout(self.body(x).amax((2, 3))))
