"""`torch.compile` with a trial, so that a run can go on without it where it does not work."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]


def compiled(network: nn.Module, images: Tensor) -> tuple[Forward, str]:
    """Return the network's compiled forward pass and "on", or the network itself and the reason why not.

    The trial, a step forward and backward on `images`, compiles before the first epoch, whose time must not include it.
    It leaves the weights, buffers and gradients as they were.
    """
    before = copy.deepcopy(network.state_dict())
    forward = torch.compile(network)
    try:
        network.train()
        forward(images).float().sum().backward()
    except Exception as problem:  # a compiler raises almost anything
        forward, result = network, f"failed ({type(problem).__name__}: {str(problem).strip().partition(chr(10))[0]})"
    else:
        result = "on"
    network.load_state_dict(before)
    network.zero_grad(set_to_none=True)
    return forward, result
