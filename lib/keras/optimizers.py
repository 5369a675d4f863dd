"""The optimizers in Keras: SGD with the conventions of either framework."""

from collections.abc import Callable
from typing import Any

import keras

from lib.study.conventions import Conventions
from lib.study.kinds import SGD, Optimizer


def optimizer(settings: Optimizer, conventions: Conventions, dtype: str = "float32") -> keras.optimizers.Optimizer:
    """Return the optimizer of the settings, whose learning rate is held in `dtype`."""
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)  # the type of the rate's variable cannot be set otherwise
    try:
        return OPTIMIZERS[settings.name](settings, conventions)
    finally:
        keras.config.set_floatx(before)


def sgd(settings: SGD, conventions: Conventions) -> keras.optimizers.Optimizer:
    """Return `keras.optimizers.SGD`, or `ConventionalSGD` where the conventions follow PyTorch, and in float64.

    In float64 Keras' own optimizers convert their constants through float32 (`keras.ops.cast` of a number).
    """
    native = conventions["weight_decay"] == conventions["momentum_form"] == "keras"
    if native and keras.config.floatx() == "float32":
        return keras.optimizers.SGD(
            settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=settings.weight_decay or None,
        )
    return ConventionalSGD(settings, conventions)


class ConventionalSGD(keras.optimizers.Optimizer):
    """SGD whose weight decay and momentum each follow one framework, on every variable and exact in its type.

    Weight decay: PyTorch adds `decay * w` to the gradient; Keras subtracts `rate * decay * w` from the weight, before
    and outside the momentum. Momentum: PyTorch's buffer sums gradients, and all are multiplied with the current rate;
    Keras' velocity sums steps, each at the rate of its time. At a constant rate these are the same.

    Source: `torch.optim.SGD`; `keras.optimizers.SGD`.
    """

    def __init__(self, settings: SGD, conventions: Conventions) -> None:
        super().__init__(settings.learning_rate)
        self._momentum, self._decay, self._nesterov = settings.momentum, settings.weight_decay, settings.nesterov
        self._coupled = conventions["weight_decay"] == "pytorch"
        self._sums_gradients = conventions["momentum_form"] == "pytorch"

    def build(self, variables: list[keras.Variable]) -> None:
        """Make a buffer of the momentum for each variable."""
        super().build(variables)
        self._buffers = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable from its gradient."""
        rate = keras.ops.cast(learning_rate, variable.dtype)
        decay, momentum = (
            keras.ops.convert_to_tensor(constant, variable.dtype) for constant in (self._decay, self._momentum)
        )
        if self._coupled:
            gradient = gradient + decay * variable
        else:
            self.assign_sub(variable, rate * decay * variable)

        added = gradient if self._sums_gradients else -rate * gradient
        buffer = self._buffers[self._get_variable_index(variable)]
        self.assign(buffer, momentum * buffer + added)
        change = added + momentum * buffer if self._nesterov else keras.ops.convert_to_tensor(buffer)
        if self._sums_gradients:
            self.assign_sub(variable, rate * change)
        else:
            self.assign_add(variable, change)


OPTIMIZERS: dict[str, Callable[[Optimizer, Conventions], keras.optimizers.Optimizer]] = {"sgd": sgd}
"""Each kind of optimizer: made from its settings and the conventions."""
