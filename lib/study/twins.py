"""Facts of the networks that both frameworks have, for planning, digests, first weights and the parity ladder."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from lib.study.conventions import Framework, Switch

OPTIMIZER: frozenset[Switch] = frozenset({"weight_decay", "momentum_form"})
"""The switches of the optimizer, which concern every network."""


class BatchNorm(NamedTuple):
    """The constants of batch normalisation; the momentum is the share of the old value, as in Keras."""

    epsilon: float
    momentum: float


class Law(NamedTuple):
    """A distribution of first weights; `std` is the standard deviation of `normal`, the other kinds follow the fans.

    `fan-in uniform` also draws the biases of its layers; with the other kinds a bias is 0.
    """

    kind: Literal["glorot uniform", "he normal", "fan-in uniform", "normal"]
    std: float = 0.0


class Initialisation(NamedTuple):
    """The distributions of a network's convolutions and of its linear layers."""

    convolution: Law
    linear: Law


GLOROT = Initialisation(Law("glorot uniform"), Law("glorot uniform"))
"""The default of Keras' layers (`keras.initializers.GlorotUniform`)."""


class Twin(NamedTuple):
    """The facts of a network that both frameworks have.

    `differences` are the switches that change something. `parameter_limit` is the largest difference of the trainable
    parameters, in percent of PyTorch's. `stages` name the end of every stage: its module in PyTorch, its layer in
    Keras. `sources` are the modules that define the network, Keras' and PyTorch's. `initialisation` holds each
    framework's first weights, `batch_norm` the constants if the two libraries differ in them, and `sizes` the heights
    and widths of Keras' images, in pixels, if they are not PyTorch's.
    """

    differences: frozenset[Switch]
    parameter_limit: float
    stages: Mapping[str, tuple[str, str]]
    sources: tuple[str, str]
    initialisation: Mapping[Framework, Initialisation]
    batch_norm: Mapping[Framework, BatchNorm] | None = None
    sizes: tuple[int, ...] | None = None
