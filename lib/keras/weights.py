"""Every weight of a Keras network under the name and in the layout that it has in PyTorch, without PyTorch."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

Rules = Sequence[tuple[str, Callable[[re.Match], str]]]
"""Patterns of layer names, each with a function from its match to the name of the module in PyTorch."""

_LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class Tensor(NamedTuple):
    """A weight or a buffer of a Keras network, with its name and its shape in PyTorch.

    `axes` are the positions of PyTorch's axes in Keras' array.
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
    """Return every weight and buffer of a network, in Keras' order, without the states of generators.

    Names follow the rules of the network's family; without a rule a layer has the same name in PyTorch.
    """
    rules = getattr(model, "rules", ())
    return [_tensor(layer, variable, rules) for layer in flattened(model) for variable in layer.weights]


def flattened(model: keras.Model) -> Iterator[layers.Layer]:
    """Yield every layer of a network; a nested `Sequential` is replaced by its layers."""
    for layer in model.layers:
        yield from flattened(layer) if isinstance(layer, keras.Sequential) else [layer]


def _tensor(layer: layers.Layer, variable: keras.Variable, rules: Rules) -> Tensor:
    module, shape = _module(layer.name, rules), tuple(variable.shape)
    if layer.name.endswith("layer_scale"):
        return Tensor(f"{module}.layer_scale", (*shape, 1, 1), variable, (0,))
    axes = _axes(layer, len(shape))
    return Tensor(f"{module}.{_LEAVES[variable.name]}", tuple(shape[axis] for axis in axes), variable, axes)


def _axes(layer: layers.Layer, rank: int) -> tuple[int, ...]:
    """Return the axes of a kernel (H, W, in, out), of a depthwise one (H, W, channels, 1) or of a matrix (in, out)."""
    if rank == 4:
        return (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (3, 2, 0, 1)
    return tuple(reversed(range(rank)))


def _module(layer: str, rules: Rules) -> str:
    for pattern, name in rules:
        if match := re.fullmatch(pattern, layer):
            return name(match)
    return layer
