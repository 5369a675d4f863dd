"""The optimizers in PyTorch: those of `torch.optim`, and SGD with the conventions of either framework."""

from collections.abc import Callable, Iterable

import torch
from timm.optim import param_groups_weight_decay
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from lib.study.conventions import Conventions
from lib.study.kinds import SGD, AdamW, Optimizer
from lib.study.settings import Regularisation

Form = dict[str, bool]
"""How an optimizer of `torch.optim` computes its update."""


def optimizer(
    network: nn.Module, settings: Optimizer, conventions: Conventions, fused: bool = False
) -> torch.optim.Optimizer:
    """Return the optimizer of a network's parameters, `fused` in one kernel; the conventions concern SGD only."""
    return OPTIMIZERS[settings.name](network, settings, conventions, {"fused": True} if fused else {})


def sgd(network: nn.Module, settings: SGD, conventions: Conventions, form: Form) -> torch.optim.Optimizer:
    """Return `torch.optim.SGD`, or `ConventionalSGD` where the conventions follow Keras."""
    decoupled, velocity = (conventions[switch] == "keras" for switch in ("weight_decay", "momentum_form"))
    if decoupled or velocity:
        return ConventionalSGD(network.parameters(), **_options(settings), decoupled=decoupled, velocity=velocity)
    return torch.optim.SGD(network.parameters(), **_options(settings), **form)


def adamw(network: nn.Module, settings: AdamW, _conventions: Conventions, form: Form) -> torch.optim.Optimizer:
    """Return `torch.optim.AdamW`; where `decay_norms` is off, in timm's two groups, of which one does not decay."""
    every = network.parameters()
    groups = every if settings.decay_norms else param_groups_weight_decay(network, settings.weight_decay)
    return torch.optim.AdamW(groups, **_options(settings, "decay_norms"), **form)


def _native(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """Return a function that makes an optimizer of `torch.optim` from its settings, whose fields are its options."""

    def make(network: nn.Module, settings: Optimizer, _conventions: Conventions, form: Form) -> torch.optim.Optimizer:
        return kind(network.parameters(), **_options(settings), **form)

    return make


def _options(settings: Optimizer, *left_out: str) -> dict[str, object]:
    return {"lr": settings.learning_rate, **settings.model_dump(exclude={"name", "learning_rate", *left_out})}


def average(network: nn.Module, settings: Regularisation) -> ModelEmaV3 | None:
    """Return the moving average of a network's weights that the settings ask for."""
    return ModelEmaV3(network, settings.average) if settings.average else None


class ConventionalSGD(torch.optim.Optimizer):
    """SGD whose weight decay and momentum each follow PyTorch (`torch.optim.SGD`) or Keras (`keras.optimizers.SGD`).

    `decoupled`: the decay shrinks the weights by rate x decay before the step and does not enter the momentum, as in
    Keras. `velocity`: the buffer sums steps, each at the rate of its time, as in Keras, and not gradients.
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
        """Add the gradient to the parameter's buffer, and return the change of the parameter."""
        rate, momentum = group["lr"], group["momentum"]
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"]
        added = -rate * gradient if group["velocity"] else gradient
        buffer.mul_(momentum).add_(added)
        total = added.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        return total if group["velocity"] else -rate * total


OPTIMIZERS: dict[str, Callable[[nn.Module, Optimizer, Conventions, Form], torch.optim.Optimizer]] = {
    "sgd": sgd,
    "adam": _native(torch.optim.Adam),
    "adamw": adamw,
    "rmsprop": _native(torch.optim.RMSprop),
}
"""Each kind of optimizer: made from a network, its settings, the conventions and the form."""
