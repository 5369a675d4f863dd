"""GhostNet, and the ResNets for CIFAR whose residual blocks are made of Ghost modules."""

from typing import Literal

from lib.study.strict import Strict


class Options(Strict):
    """What a study may change in a Ghost-ResNet's modules.

    `ratio`: a module computes one in `ratio` of its channels by the primary convolution, and the others from these by a
    depthwise one. `kernel`: the width of the primary convolution in pixels; 3 is that of the convolutions it replaces.
    """

    ratio: Literal[2, 3, 4] = 2
    kernel: Literal[1, 3] = 3
