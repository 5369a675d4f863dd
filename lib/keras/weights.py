"""Every weight of a Keras model under the name and in the layout that it has in PyTorch.

The names are torchvision's, or for `resnet20` the layers' own. So weights can be exchanged without PyTorch at hand.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

_LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

_INVERTED = {"expand": "0.0", "expand_BN": "0.1", "depthwise": "1.0", "depthwise_BN": "1.1", "project": "2"}
_INVERTED |= {"project_BN": "3"}
_FIRST_INVERTED = {"depthwise": "0.0", "depthwise_BN": "0.1", "project": "1", "project_BN": "2"}
_CONVNEXT = {"depthwise_conv": ".block.0", "layernorm": ".block.2", "pointwise_conv_1": ".block.3"}
_CONVNEXT |= {"pointwise_conv_2": ".block.5", "layer_scale": ""}
_DOWNSAMPLING = {"layernorm": 0, "conv": 1}

_RULES = (
    # MobileNetV2
    (r"Conv1", lambda _: "features.0.0"),
    (r"bn_Conv1", lambda _: "features.0.1"),
    (r"expanded_conv_(\w+)", lambda m: f"features.1.conv.{_FIRST_INVERTED[m[1]]}"),
    (r"block_(\d+)_(\w+)", lambda m: f"features.{int(m[1]) + 1}.conv.{_INVERTED[m[2]]}"),
    (r"Conv_1", lambda _: "features.18.0"),
    (r"Conv_1_bn", lambda _: "features.18.1"),
    # ResNet-50
    (r"conv1_conv", lambda _: "conv1"),
    (r"conv1_bn", lambda _: "bn1"),
    (r"conv(\d)_block(\d)_0_conv", lambda m: f"layer{int(m[1]) - 1}.{int(m[2]) - 1}.downsample.0"),
    (r"conv(\d)_block(\d)_0_bn", lambda m: f"layer{int(m[1]) - 1}.{int(m[2]) - 1}.downsample.1"),
    (r"conv(\d)_block(\d)_(\d)_(conv|bn)", lambda m: f"layer{int(m[1]) - 1}.{int(m[2]) - 1}.{m[4]}{m[3]}"),
    # ConvNeXt-Tiny
    (r"convnext_tiny_stem_conv", lambda _: "features.0.0"),
    (r"convnext_tiny_stem_layernorm", lambda _: "features.0.1"),
    (r"convnext_tiny_stage_(\d)_block_(\d)_(\w+)", lambda m: f"features.{2 * int(m[1]) + 1}.{m[2]}{_CONVNEXT[m[3]]}"),
    (r"convnext_tiny_downsampling_(\w+)_(\d)", lambda m: f"features.{2 * int(m[2]) + 2}.{_DOWNSAMPLING[m[1]]}"),
    (r"convnext_tiny_head_layernorm", lambda _: "classifier.0"),
    (r"convnext_tiny_head_dense", lambda _: "classifier.2"),
)


class Tensor(NamedTuple):
    """A weight or a buffer of a Keras model, with its name and its shape in PyTorch.

    `axes` is where each of PyTorch's axes is found in Keras' array.
    """

    name: str
    shape: tuple[int, ...]
    variable: keras.Variable
    axes: tuple[int, ...]

    def read(self) -> np.ndarray:
        """Return the values in PyTorch's layout."""
        return self.in_pytorch(self.variable.numpy())

    def in_pytorch(self, values: np.ndarray) -> np.ndarray:
        """Return values in Keras' layout, such as a gradient, in PyTorch's."""
        return values.transpose(self.axes).reshape(self.shape)

    def write(self, values: np.ndarray) -> None:
        """Set the values, given in PyTorch's layout."""
        narrow = values.reshape([values.shape[axis] for axis in range(len(self.axes))])
        self.variable.assign(narrow.transpose(np.argsort(self.axes)))


def tensors(model: keras.Model) -> list[Tensor]:
    """Return every weight and buffer of one of `lib.keras.models`, in Keras' order, without generators' states."""
    found = [(layer, variable) for layer in flattened(model) for variable in layer.weights]
    # Two of Keras' models call their linear layer "predictions".
    head = "classifier.1" if any(layer.name == "Conv_1" for layer, _ in found) else "fc"
    return [_tensor(layer, variable, head) for layer, variable in found]


def flattened(model: keras.Model) -> Iterator[layers.Layer]:
    """Yield every layer of a model, with those in a nested `Sequential` in its place."""
    for layer in model.layers:
        yield from flattened(layer) if isinstance(layer, keras.Sequential) else [layer]


def _tensor(layer: layers.Layer, variable: keras.Variable, head: str) -> Tensor:
    module = head if layer.name == "predictions" else _module(layer.name)
    shape = tuple(variable.shape)
    if layer.name.endswith("layer_scale"):
        return Tensor(f"{module}.layer_scale", (*shape, 1, 1), variable, (0,))
    axes = _axes(layer, len(shape))
    return Tensor(f"{module}.{_LEAVES[variable.name]}", tuple(shape[axis] for axis in axes), variable, axes)


def _axes(layer: layers.Layer, rank: int) -> tuple[int, ...]:
    """Where PyTorch's axes are in Keras: of a kernel (H, W, in, out), of a depthwise one (H, W, channels, 1)."""
    if rank == 4:
        return (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (3, 2, 0, 1)
    return tuple(reversed(range(rank)))


def _module(layer: str) -> str:
    for pattern, name in _RULES:
        if match := re.fullmatch(pattern, layer):
            return name(match)
    return layer
