"""What Keras and PyTorch do differently by convention, and whose convention each one follows in a run.

Each difference is one **switch**. Natively a framework follows its own convention; where a switch is aligned, both
follow the reference's, so that what is left of a gap has another cause. Two runs that are aligned in every switch are
twins.
"""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, get_args

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

_OPTIMIZER: tuple[Switch, ...] = ("weight_decay", "momentum_form")

DIFFERENCES: dict[str, frozenset[Switch]] = {
    "mobilenetv2": frozenset(
        {"bn_eps", "bn_momentum", "bn_variance", "padding", "dropout", "initialisation", *_OPTIMIZER}
    ),
    "resnet50": frozenset(
        {"bn_eps", "bn_momentum", "bn_variance", "conv_bias", "stride", "initialisation", *_OPTIMIZER}
    ),
    "convnext_tiny": frozenset({"stochastic_depth", "initialisation", *_OPTIMIZER}),
    "resnet20": frozenset({"bn_variance", *_OPTIMIZER}),
}
"""The switches that change something, by model; a test holds them against what the built models show."""


class BatchNorm(NamedTuple):
    """The constants of a model's batch normalisation; the momentum is the share of the old value, as Keras counts."""

    epsilon: float
    momentum: float


BATCH_NORM: dict[str, dict[Framework, BatchNorm]] = {
    "mobilenetv2": {"keras": BatchNorm(1e-3, 0.999), "pytorch": BatchNorm(1e-5, 0.9)},
    "resnet50": {"keras": BatchNorm(1.001e-5, 0.99), "pytorch": BatchNorm(1e-5, 0.9)},
}
"""The constants in which the two libraries' models differ (Keras Applications and torchvision, their source)."""


def followed(framework: Framework, aligned: Collection[Switch], reference: Framework) -> Conventions:
    """Return whose convention a framework follows where these switches are aligned to the reference."""
    return {switch: _target(switch, reference) if switch in aligned else framework for switch in SWITCHES}


def effective(
    framework: Framework, model: str, aligned: Collection[Switch], reference: Framework
) -> tuple[Switch, ...]:
    """Return those of the aligned switches that change what this framework does with this model, in their order."""
    conventions = followed(framework, aligned, reference)
    return tuple(switch for switch in SWITCHES if switch in DIFFERENCES[model] and conventions[switch] != framework)


def _target(switch: Switch, reference: Framework) -> Framework:
    return "keras" if switch in ALWAYS_KERAS else reference
