"""The switches in words, for readers; no run depends on this file."""

from collections.abc import Mapping

from lib.study.conventions import Switch

TITLES: Mapping[Switch, str] = {
    "bn_eps": "epsilon of batch normalisation",
    "bn_momentum": "momentum of batch normalisation",
    "bn_variance": "running variance of batch normalisation",
    "conv_bias": "biases of convolutions",
    "stride": "place of the stride",
    "padding": "padding",
    "dropout": "dropout",
    "stochastic_depth": "stochastic depth",
    "initialisation": "initialisation",
    "weight_decay": "weight decay",
    "momentum_form": "form of the momentum",
}
"""Each switch in words."""
