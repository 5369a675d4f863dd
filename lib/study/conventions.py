"""What Keras and PyTorch do differently by convention, and whose convention each one follows in a run.

Each difference is one **switch**. Natively a framework follows its own convention; where a switch is aligned, both
follow the reference's, so that what is left of a gap has another cause. Two runs that are aligned in every switch are
twins.
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
"""Whose convention is followed, switch by switch."""

ALWAYS_KERAS: frozenset[Switch] = frozenset({"dropout", "stochastic_depth"})
"""Aligned, these follow Keras whatever the reference: it has neither, and what is random cannot be the same in both."""


def followed(framework: Framework, aligned: Collection[Switch], reference: Framework) -> Conventions:
    """Return whose convention a framework follows where these switches are aligned to the reference."""
    return {switch: _target(switch, reference) if switch in aligned else framework for switch in SWITCHES}


def effective(
    framework: Framework, differences: Collection[Switch], aligned: Collection[Switch], reference: Framework
) -> tuple[Switch, ...]:
    """Return the aligned switches that change what a framework does with a network of these differences, in order."""
    conventions = followed(framework, aligned, reference)
    return tuple(switch for switch in SWITCHES if switch in differences and conventions[switch] != framework)


def _target(switch: Switch, reference: Framework) -> Framework:
    return "keras" if switch in ALWAYS_KERAS else reference
