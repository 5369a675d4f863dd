"""What makes two implementations of one network a pair: the facts that planning, digests and the ladder share."""

from collections.abc import Mapping
from typing import NamedTuple

from lib.study.conventions import Framework, Switch

OPTIMIZER: frozenset[Switch] = frozenset({"weight_decay", "momentum_form"})
"""The switches of the optimizer, which concern every network."""


class BatchNorm(NamedTuple):
    """The constants of batch normalisation; the momentum is the share of the old value, as Keras counts."""

    epsilon: float
    momentum: float


class Twin(NamedTuple):
    """What is known of a network that both frameworks have.

    `differences` are the switches that change something. `parameter_limit` is the largest difference of the trainable
    parameters, in percent of PyTorch's. `stages` name the end of every stage: its module in PyTorch, its layer in
    Keras. `sources` are the modules that define the network, Keras' and PyTorch's. `batch_norm` holds the constants
    where the two libraries differ in them.
    """

    differences: frozenset[Switch]
    parameter_limit: float
    stages: Mapping[str, tuple[str, str]]
    sources: tuple[str, str]
    batch_norm: Mapping[Framework, BatchNorm] | None = None
