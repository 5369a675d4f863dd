"""The networks in Keras, one file per family: images in as float32 (N, H, W, C), logits out, every weight drawn anew.

A family's file has `build(shape, classes, conventions, ...)`. If layers have other names than PyTorch's modules, it has
`RULES` too: pairs of a pattern of layer names and a function from its match to the module's name.

Layers follow the global dtype policy (`keras.config.set_dtype_policy`), and so do the logits.
"""

import math
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import keras

from lib.study.conventions import Conventions, followed
from lib.study.models import find

NATIVE: Conventions = followed("keras", (), "keras")
"""Keras' own convention in every switch."""


def build(
    model: str,
    shape: tuple[int, int, int],
    classes: int,
    conventions: Conventions = NATIVE,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> keras.Model:
    """Build the network of that name for images of `shape` (height, width, channels), with `classes` logits.

    `options` are the departures from the model's own options. Weights are drawn by the layers' own initialisers
    with any conventions.

    Raises:
        ParameterError: the model is unknown, or it does not take images of that size.
    """
    row = find(model)
    row.require_size(shape, "keras")
    family = import_module(f"lib.keras.networks.{row.family}")
    network = family.build(shape, classes, conventions, **{**row.arguments, **options})
    network.rules = getattr(family, "RULES", ())  # for lib.keras.weights
    return network


def parameters(model: keras.Model) -> int:
    """Count the trainable parameters; `model.count_params()` would include the statistics of batch normalisation."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
