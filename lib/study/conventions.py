"""The conventions in which Keras and PyTorch differ, and those that each framework follows in a run.

Each difference is one **switch**. Natively a framework follows its own convention. Where a switch is aligned, both
follow the reference's, so that this difference cannot cause a gap. Two runs that are aligned in every switch are twins.
"""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

Framework = Literal["keras", "pytorch"]
Switch = Literal[
    "bn_eps",
    "bn_momentum",
    "bn_variance",
    "conv_bias",
    "stride",
    "padding",
    "dropout",
    "stochastic_depth",
    "initialisation",
    "weight_decay",
    "momentum_form",
]
SWITCHES: tuple[Switch, ...] = get_args(Switch)

Conventions = Mapping[Switch, Framework]
"""The framework whose convention is followed, for each switch."""

ALWAYS_KERAS: frozenset[Switch] = frozenset({"dropout", "stochastic_depth"})
"""Aligned, these follow Keras, which has neither, with any reference: random draws cannot be the same in both."""


def followed(framework: Framework, aligned: Collection[Switch], reference: Framework) -> Conventions:
    """Return whose convention a framework follows with these switches aligned to the reference."""
    return {switch: _target(switch, reference) if switch in aligned else framework for switch in SWITCHES}


def effective(
    framework: Framework, differences: Collection[Switch], aligned: Collection[Switch], reference: Framework
) -> tuple[Switch, ...]:
    """Return the aligned switches that change a framework's behaviour for a network of these differences, in order."""
    conventions = followed(framework, aligned, reference)
    return tuple(switch for switch in SWITCHES if switch in differences and conventions[switch] != framework)


def _target(switch: Switch, reference: Framework) -> Framework:
    return "keras" if switch in ALWAYS_KERAS else reference
