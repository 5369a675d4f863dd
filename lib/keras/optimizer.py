"""SGD with momentum in each framework's form, in Keras."""

from typing import Any

import keras

from lib.study.conventions import Conventions
from lib.study.params import Settings


def sgd(settings: Settings, conventions: Conventions, dtype: str = "float32") -> keras.optimizers.Optimizer:
    """Return the optimizer of these settings, whose learning rate is held in `dtype`.

    It is Keras' own where that follows the conventions. In float64 it is not: Keras takes its constants through
    float32 (`keras.ops.cast` of a number).
    """
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)  # an optimizer gives the variable of its rate no type of its own
    try:
        if dtype == "float32" and conventions["weight_decay"] == conventions["momentum_form"] == "keras":
            return keras.optimizers.SGD(
                settings.learning_rate,
                momentum=settings.momentum,
                nesterov=settings.nesterov,
                weight_decay=settings.weight_decay or None,
            )
        return ConventionalSGD(settings, conventions)
    finally:
        keras.config.set_floatx(before)


class ConventionalSGD(keras.optimizers.Optimizer):
    """SGD whose weight decay and momentum each follow one framework, on every variable and exact in its type.

    Weight decay: PyTorch adds `decay * w` to the gradient; Keras takes `rate * decay * w` off the weight, before and
    outside the momentum. Momentum: PyTorch's buffer sums gradients, and the rate is that of the step they are used in;
    Keras' velocity sums steps, each at the rate of its own. Without changes of the rate these are the same.

    Source: `torch.optim.SGD`; `keras.optimizers.SGD`.
    """

    def __init__(self, settings: Settings, conventions: Conventions) -> None:
        super().__init__(settings.learning_rate)
        self._momentum, self._decay, self._nesterov = settings.momentum, settings.weight_decay, settings.nesterov
        self._coupled = conventions["weight_decay"] == "pytorch"
        self._sums_gradients = conventions["momentum_form"] == "pytorch"

    def build(self, variables: list[keras.Variable]) -> None:
        """Make a buffer of the momentum for each variable."""
        super().build(variables)
        self._buffers = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable from its gradient; with `learning_rate` in the type that the optimizer holds it in."""
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
