"""The first weights of a network as a pure function of the seed, the same in both frameworks.

A tensor is known by its name and its shape in PyTorch. Each tensor has its own stream of uniform numbers, which are
mapped to quantiles of the distribution that the followed convention gives it. Under one convention both frameworks get
the same weights; under two they get the same quantiles.
"""

import math
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from lib.study.cells import Cell
from lib.study.models import find
from lib.study.twins import Initialisation

Shape = tuple[int, ...]


class Distribution(NamedTuple):
    """Normal with a standard deviation of `scale`, or uniform within +-`scale`."""

    scale: float
    normal: bool = False


def drawn(cell: Cell) -> bool:
    """Return whether a cell's first weights are drawn here and not by the framework.

    Only a network that both frameworks have has weights to share.
    """
    pairing = cell.settings.pairing
    return find(cell.model).twin is not None and (pairing.shared or "initialisation" in pairing.align)


def weights(cell: Cell, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """Draw the kernels of a network and the biases of its linear layers, in float64, in PyTorch's layout.

    `shapes` are those of all parameters. The parameters that are not returned start at the same constants in both
    frameworks. Unless the pairing is shared, each framework has its own streams.
    """
    initialisation = find(cell.model).twin.initialisation[cell.conventions["initialisation"]]
    own = [] if cell.settings.pairing.shared else [zlib.crc32(cell.framework.encode())]
    found = {}
    for name, shape in shapes.items():
        kernel = shapes[f"{name.removesuffix('.bias')}.weight"] if name.endswith(".bias") else shape
        if _is_kernel(name, shape) or (name.endswith(".bias") and len(kernel) == 2):
            random = np.random.default_rng([cell.seed, zlib.crc32(name.encode()), *own])
            found[name] = _quantiles(distribution(initialisation, kernel, shape), random, shape)
    return found


def distribution(initialisation: Initialisation, kernel: Shape, shape: Shape) -> Distribution:
    """Return the distribution of a kernel, or of the bias of a linear layer, from its shape and its kernel's."""
    law = initialisation.convolution if len(kernel) == 4 else initialisation.linear
    receptive = math.prod(kernel[2:])
    fan_in, fan_out = kernel[1] * receptive, kernel[0] * receptive
    if law.kind == "fan-in uniform":
        return Distribution(1 / math.sqrt(fan_in))
    if len(shape) == 1:
        return Distribution(0.0)
    if law.kind == "glorot uniform":
        return Distribution(math.sqrt(6 / (fan_in + fan_out)))
    return Distribution(math.sqrt(2 / fan_out) if law.kind == "he normal" else law.std, normal=True)


def _is_kernel(name: str, shape: Shape) -> bool:
    return len(shape) in (2, 4) and name.endswith(".weight")


def _quantiles(distribution: Distribution, random: np.random.Generator, shape: Shape) -> np.ndarray:
    uniform = random.uniform(np.finfo(np.float64).tiny, 1, shape)
    return distribution.scale * (ndtri(uniform) if distribution.normal else 2 * uniform - 1)
