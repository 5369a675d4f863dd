"""Torchvision's models made to follow Keras' conventions, switch by switch.

Each function edits a model in place and finds nothing to do in one that its switch does not concern. Names and order of
the state stay; a bias that PyTorch's model has not is added.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from lib.pytorch import torchvision_ops  # noqa: F401  (before torchvision)
from lib.pytorch.normalization import BiasedBatchNorm2d
from lib.study.conventions import BATCH_NORM, Conventions, Switch

from torchvision import models, ops  # isort: skip


def align(network: nn.Module, model: str, conventions: Conventions) -> None:
    """Make a network, built as the model of that name, follow Keras in every switch where the conventions say so."""
    for switch, edit in EDITS.items():
        if conventions[switch] == "keras":
            edit(network, model)


def _bn_eps(network: nn.Module, model: str) -> None:
    if model in BATCH_NORM:
        for norm in _layers(network, nn.BatchNorm2d).values():
            norm.eps = BATCH_NORM[model]["keras"].epsilon


def _bn_momentum(network: nn.Module, model: str) -> None:
    """Set the momentum, which counts the share of the new value in PyTorch, and in Keras that of the old one."""
    if model in BATCH_NORM:
        for norm in _layers(network, nn.BatchNorm2d).values():
            norm.momentum = 1 - BATCH_NORM[model]["keras"].momentum


def _bn_variance(network: nn.Module, model: str) -> None:
    for name, norm in _layers(network, nn.BatchNorm2d).items():
        network.set_submodule(name, BiasedBatchNorm2d(norm.num_features, norm.eps, norm.momentum))


def _conv_bias(network: nn.Module, model: str) -> None:
    """Give ResNet-50's convolutions a bias, which starts at zero."""
    if isinstance(network, models.ResNet):
        for conv in _layers(network, nn.Conv2d).values():
            conv.bias = nn.Parameter(conv.weight.new_zeros(conv.out_channels))


def _stride(network: nn.Module, model: str) -> None:
    """Move the stride of ResNet-50's stages from the 3x3 convolution to the 1x1 before it: v1.5 becomes v1."""
    for block in _layers(network, models.resnet.Bottleneck).values():
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def _padding(network: nn.Module, model: str) -> None:
    """Pad MobileNetV2's convolutions of stride 2 below and to the right alone, as Keras' "same" and its explicit do."""
    if isinstance(network, models.MobileNetV2):
        for conv in _layers(network, nn.Conv2d).values():
            if conv.stride == (2, 2):
                conv.padding = (0, 0)
                conv.register_forward_pre_hook(_pad_below_and_right)


def _pad_below_and_right(conv: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    return functional.pad(inputs[0], (0, 1, 0, 1))


def _dropout(network: nn.Module, model: str) -> None:
    for dropout in _layers(network, nn.Dropout).values():
        dropout.p = 0.0


def _stochastic_depth(network: nn.Module, model: str) -> None:
    for depth in _layers(network, ops.StochasticDepth).values():
        depth.p = 0.0


def _layers(network: nn.Module, kind: type[nn.Module]) -> dict[str, nn.Module]:
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, kind)}


EDITS: dict[Switch, Callable[[nn.Module, str], None]] = {
    "bn_eps": _bn_eps,
    "bn_momentum": _bn_momentum,
    "bn_variance": _bn_variance,
    "conv_bias": _conv_bias,
    "stride": _stride,
    "padding": _padding,
    "dropout": _dropout,
    "stochastic_depth": _stochastic_depth,
}
"""What each switch does to a model; the others concern the first weights and the optimizer."""
