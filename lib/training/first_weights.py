"""The first weights of a network as a pure function of the seed, the same for both frameworks.

A tensor is known by the name and the shape it has in PyTorch. Its numbers are quantiles: one stream of uniform numbers
a tensor, mapped through the distribution that the followed convention gives it. Two frameworks that draw from different
distributions draw the same quantiles all the same, and from the same distribution the same weights.
"""

import math
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from lib.study.conventions import Framework, followed
from lib.study.params import Cell

Shape = tuple[int, ...]


class Distribution(NamedTuple):
    """Normal with a standard deviation of `scale`, or uniform within +-`scale`; with a scale of 0 it is 0."""

    scale: float
    normal: bool = False


def drawn(cell: Cell) -> bool:
    """Whether a cell's first weights are drawn here; where not, the framework draws its own."""
    return cell.settings.pairing == "shared" or "initialisation" in cell.settings.align


def weights(cell: Cell, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """Draw the kernels of a network and the biases of its linear layers, in float64, in PyTorch's layout.

    `shapes` are those of all its parameters. What is not returned starts as both frameworks start it: at 1 or 0, or
    ConvNeXt's layer scale at 1e-6. Unless the pairing is shared, the stream is the framework's own.
    """
    settings = cell.settings
    convention = followed(cell.framework, settings.align, settings.reference)["initialisation"]
    own = [] if settings.pairing == "shared" else [zlib.crc32(cell.framework.encode())]
    found = {}
    for name, shape in shapes.items():
        kernel = shapes[f"{name.removesuffix('.bias')}.weight"] if name.endswith(".bias") else shape
        if _is_kernel(name, shape) or (name.endswith(".bias") and len(kernel) == 2):
            random = np.random.default_rng([cell.seed, zlib.crc32(name.encode()), *own])
            found[name] = _quantiles(distribution(cell.model, convention, kernel, shape), random, shape)
    return found


def distribution(model: str, convention: Framework, kernel: Shape, shape: Shape) -> Distribution:
    """Return what a kernel, or the bias of a linear layer, is drawn from.

    Keras: Glorot uniform, biases 0 (Keras, `initializers.GlorotUniform`). PyTorch: as torchvision initialises each
    model, and where it does not, as `torch.nn.Linear` does. `resnet20` has one initialisation, He's, in both.
    """
    receptive = math.prod(kernel[2:])
    fan_in, fan_out = kernel[1] * receptive, kernel[0] * receptive
    bias = len(shape) == 1
    if convention == "keras" and model != "resnet20":
        return Distribution(0.0 if bias else math.sqrt(6 / (fan_in + fan_out)))
    if model == "convnext_tiny":
        return Distribution(0.0 if bias else 0.02, normal=True)
    if len(kernel) == 4:
        return Distribution(math.sqrt(2 / fan_out), normal=True)
    if model == "mobilenetv2":
        return Distribution(0.0 if bias else 0.01, normal=True)
    return Distribution(1 / math.sqrt(fan_in))


def _is_kernel(name: str, shape: Shape) -> bool:
    return len(shape) in (2, 4) and name.endswith(".weight")


def _quantiles(distribution: Distribution, random: np.random.Generator, shape: Shape) -> np.ndarray:
    uniform = random.uniform(np.finfo(np.float64).tiny, 1, shape)
    return distribution.scale * (ndtri(uniform) if distribution.normal else 2 * uniform - 1)
