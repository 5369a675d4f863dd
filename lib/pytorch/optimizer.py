"""SGD with the weight decay and the momentum of either framework, in every combination."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lib.study.conventions import Conventions
from lib.study.params import Settings


def sgd(parameters: Iterable[nn.Parameter], settings: Settings, conventions: Conventions) -> torch.optim.Optimizer:
    """Return the optimizer of the settings: PyTorch's own, unless the conventions say that it follows Keras."""
    decoupled, velocity = (conventions[switch] == "keras" for switch in ("weight_decay", "momentum_form"))
    options = {
        "lr": settings.learning_rate,
        "momentum": settings.momentum,
        "nesterov": settings.nesterov,
        "weight_decay": settings.weight_decay,
    }
    if decoupled or velocity:
        return ConventionalSGD(parameters, **options, decoupled=decoupled, velocity=velocity)
    return torch.optim.SGD(parameters, **options)


class ConventionalSGD(torch.optim.Optimizer):
    """SGD in which weight decay and momentum each follow PyTorch (`torch.optim.SGD`) or Keras (`keras.optimizers.SGD`).

    `decoupled`: the decay shrinks the weights by rate x decay before the step, as in Keras, and passes not through the
    momentum. `velocity`: the buffer sums up steps, each at the rate of its time, as in Keras, and not gradients.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        decoupled: bool,
        velocity: bool,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(parameters, options | {"decoupled": decoupled, "velocity": velocity})

    @torch.no_grad()
    def step(self) -> None:
        """Make one update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    gradient = self._decay(parameter, group)
                    parameter.add_(self._move(parameter, gradient, group))

    def _decay(self, parameter: Tensor, group: dict) -> Tensor:
        """Shrink the parameter and return its gradient, or return the gradient with the decay in it."""
        if group["decoupled"]:
            parameter.sub_(parameter, alpha=group["lr"] * group["weight_decay"])
            return parameter.grad
        return parameter.grad.add(parameter, alpha=group["weight_decay"])

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict) -> Tensor:
        """Add the gradient to the parameter's buffer, and return what the parameter moves by."""
        rate, momentum = group["lr"], group["momentum"]
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"]
        added = -rate * gradient if group["velocity"] else gradient
        buffer.mul_(momentum).add_(added)
        total = added.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        return total if group["velocity"] else -rate * total
