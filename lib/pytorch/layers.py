"""The measurement of a network's activation layers: dead, dormant and saturated units, and scales by depth.

Columns and definitions are those of `lib.runs.layers`.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh)
"""The modules that are measured."""

DORMANT = 0.025
"""The share of a layer's mean absolute activation up to which a unit is dormant: tau of Sokar et al. 2023."""

FLAT = 0.02
"""The slope of an activation up to which an input saturates it; that of a leaky ReLU on negative inputs is 0.01."""


class Call(NamedTuple):
    """One call of an activation in a forward pass: the module and its name, its input and its output."""

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor


def measure(network: nn.Module, images: Tensor, labels: Tensor) -> list[dict[str, Any]]:
    """Measure every activation of a network on one batch of images (N, C, H, W), one row per call of an activation.

    The network itself is left as it is. Its copy normalises by the statistics of these images, as in training, since
    running statistics mean nothing before the training; dropout is off. A unit is an entry of the second dimension.
    """
    probe = copy.deepcopy(network).eval()
    for module in probe.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
        if hasattr(module, "inplace"):
            module.inplace = False  # an output in its input's place would hide the input
    calls: list[Call] = []
    for name, module in probe.named_modules():
        if isinstance(module, ACTIVATIONS):
            module.register_forward_hook(_recorder(name, calls))
    with torch.enable_grad():
        loss = functional.cross_entropy(probe(images), labels, reduction="sum")
        gradients = torch.autograd.grad(loss, [call.output for call in calls])
    return [
        {"depth": depth, "layer": name, **_row(call, gradient)}
        for depth, (name, call, gradient) in enumerate(zip(_unique(calls), calls, gradients, strict=True), start=1)
    ]


def _recorder(name: str, calls: list[Call]) -> Callable[..., None]:
    return lambda module, inputs, output: calls.append(Call(name, module, inputs[0].detach(), output))


def _unique(calls: Iterable[Call]) -> list[str]:
    """Return the names of the calls; that of a module which is called again gets the number of the call."""
    seen: Counter[str] = Counter()
    names = []
    for call in calls:
        seen[call.name] += 1
        names.append(call.name if seen[call.name] == 1 else f"{call.name} ({seen[call.name]})")
    return names


def _row(call: Call, gradient: Tensor) -> dict[str, Any]:
    output, slopes = _by_unit(call.output.detach()), _by_unit(_slopes(call))
    means = output.abs().mean(1)
    return {
        "activation": type(call.module).__name__,
        "units": len(output),
        "dead": int((output == 0).all(1).sum()),
        "dormant": int((means <= DORMANT * means.mean()).sum()),
        "saturated": int((slopes.abs() <= FLAT).all(1).sum()),
        "scale": _root_mean_square(output),
        "gradient": _root_mean_square(gradient),
    }


def _by_unit(values: Tensor) -> Tensor:
    """Return the values of each unit on all images and at all places: (units, values)."""
    return values.transpose(0, 1).flatten(1)


def _slopes(call: Call) -> Tensor:
    """Return the activation's derivative at each of its inputs."""
    at = call.input.clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(call.module.forward(at).sum(), at)[0]


def _root_mean_square(values: Tensor) -> float:
    return values.double().square().mean().sqrt().item()
