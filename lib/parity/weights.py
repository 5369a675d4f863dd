"""The weights of one framework's network, copied into the other's."""

from collections.abc import Mapping

import keras
import numpy as np
import torch
from torch import nn

from lib.errors import ParityError
from lib.keras.weights import tensors

Network = keras.Model | nn.Module


def transplant(source: Network, target: Network) -> None:
    """Copy every weight and buffer of one network into the other: from PyTorch to Keras, from Keras to PyTorch.

    Only Keras' ResNet-50 has biases in front of a batch normalisation. Copied to PyTorch, such a bias is subtracted
    from the running mean behind it, and the network stays the same function in evaluation and in training. Copied to
    Keras, it becomes 0.

    Raises:
        ParityError: a weight has no counterpart, or one of another shape; the message names it.
    """
    carry(read(source), target)


def carry(values: Mapping[str, np.ndarray], target: Network) -> None:
    """Set every weight and buffer of a network to the value of its name, as `transplant` does."""
    places, found = read(target), dict(values)
    for name in values.keys() - places.keys():
        if not in_front_of_normalisation(name, values):
            raise ParityError(f"{name}: the source has this weight and the target does not")
        mean = _running_mean_behind(name)
        found[mean] = found[mean] - found.pop(name)
    for name, place in places.items():
        if name not in found and not in_front_of_normalisation(name, places):
            raise ParityError(f"{name}: the target has this weight and the source does not")
        if name in found and found[name].shape != place.shape:
            raise ParityError(f"{name}: {found[name].shape} in the source, {place.shape} in the target")
    write(target, {name: found.get(name, np.zeros_like(place)) for name, place in places.items()})


def in_front_of_normalisation(name: str, values: Mapping[str, np.ndarray]) -> bool:
    """Return whether this is the bias of a convolution in front of a batch normalisation."""
    kernel, mean = values.get(name.removesuffix("bias") + "weight"), _running_mean_behind(name)
    return name.endswith(".bias") and kernel is not None and kernel.ndim == 4 and mean in values


def _running_mean_behind(bias: str) -> str:
    """Return the running mean of the batch normalisation behind a convolution, by the name of its bias."""
    convolution = bias.removesuffix(".bias")
    norm = convolution.replace("downsample.0", "downsample.1").replace("conv", "bn")
    return f"{norm}.running_mean"


def read(network: Network) -> dict[str, np.ndarray]:
    """Return every weight and buffer by its name in PyTorch, in PyTorch's layout."""
    if isinstance(network, keras.Model):
        return {tensor.name: tensor.read() for tensor in tensors(network)}
    state = network.state_dict()
    return {name: value.numpy(force=True).copy() for name, value in state.items() if value.is_floating_point()}


def write(network: Network, values: Mapping[str, np.ndarray]) -> None:
    """Set the named weights and buffers, given in PyTorch's layout."""
    if isinstance(network, keras.Model):
        places = {tensor.name: tensor for tensor in tensors(network)}
        for name, value in values.items():
            places[name].write(value)
    else:
        state = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in values.items()}
        network.load_state_dict(state, strict=False)


def perturbed(values: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Return weights and buffers moved away from first values that would hide differences.

    A new batch normalisation scales by 1 and shifts by 0, and a new ConvNeXt scales its blocks by 1e-6. Kernels stay,
    and so do the biases of convolutions, which one framework may not have.
    """
    random = np.random.default_rng(seed)
    found = dict(values)
    for name, value in values.items():
        normalisation = value.ndim == 1 and values.get(name.rpartition(".")[0] + ".weight", value).ndim == 1
        if name.endswith("layer_scale"):
            found[name] = random.uniform(0.1, 1, value.shape)
        elif normalisation and name.endswith(("weight", "running_var")):
            found[name] = random.uniform(0.5, 1.5, value.shape)
        elif normalisation:
            found[name] = random.normal(0, 0.1, value.shape)
    return found
