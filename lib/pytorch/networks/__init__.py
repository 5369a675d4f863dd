"""The networks in PyTorch, one file per family: images in as float32 (N, C, H, W), logits out, every weight drawn anew.

A family's file has `build(shape, classes, ...)`. A family whose twin differs by a switch of its own has `EDITS` too:
the functions that make the network follow Keras in it.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.pytorch.alignment import align
from lib.study.conventions import Conventions, followed
from lib.study.models import find

NATIVE: Conventions = followed("pytorch", (), "pytorch")
"""PyTorch's own convention in every switch."""


def build(
    model: str,
    shape: tuple[int, int, int],
    classes: int,
    conventions: Conventions = NATIVE,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> nn.Module:
    """Build the network of that name for images of `shape` (height, width, channels), with `classes` logits.

    `options` are the departures from the model's own options. The conventions do not change how weights are drawn.

    Raises:
        ParameterError: the model is unknown, or it does not take images of that size.
    """
    row = find(model)
    row.require_size(shape, "pytorch")
    family = import_module(f"lib.pytorch.networks.{row.family}")
    network = family.build(shape, classes, **{**row.arguments, **options})
    if row.twin:
        align(network, row.twin, conventions, getattr(family, "EDITS", {}))
    return network


def multiply_adds(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Count a network's multiply-adds for one image (height, width, channels).

    Convolutions and products of matrices are counted. Source: `torch.utils.flop_counter`, which counts two operations
    for each. Attention is computed as its two products meanwhile: the counter overlooks the fused form on a CPU.
    """
    height, width, channels = shape
    first = next(model.parameters())
    training = model.training
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model.eval()(first.new_zeros(1, channels, height, width))
    model.train(training)
    return counter.get_total_flops() // 2


def parameters(model: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
