"""The differences between the two libraries, read from the built networks and measured on the built optimizers.

No value is written here, so a new version of a library shows its own behaviour.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import torch
from torch import nn
from torchvision import ops

from lib.keras import networks as keras_networks
from lib.keras import optimizers as keras_optimizers
from lib.keras.weights import flattened
from lib.parity import weights
from lib.parity.architecture import CHANNELS
from lib.pytorch import networks as pytorch_networks
from lib.pytorch import optimizers as pytorch_optimizers
from lib.study.conventions import SWITCHES, Framework, Switch
from lib.study.kinds import SGD
from lib.study.models import twins

Value = str | tuple[float, ...]
"""A framework's behaviour: in words, or in measured numbers."""

CLOSE = 0.1
"""Largest relative distance of two measured numbers that count as equal: some are deviations of a few hundred draws."""


def differences(model: str, size: int) -> pd.DataFrame:
    """List every switch with each framework's native behaviour, for one model at one image size.

    Returns:
        Columns `model`, `switch`, `keras`, `pytorch` (in words), `differs`, `keras_source`, `pytorch_source` (files of
        the installed libraries). Measured numbers differ where they are further apart than `CLOSE`.
    """
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    shape = (size, size, CHANNELS)
    networks = keras_networks.build(model, shape, 10), pytorch_networks.build(model, shape, 10)
    rows = []
    for switch in SWITCHES:
        ours, theirs = (read(network) for read, network in zip(_READERS[switch], networks, strict=True))
        files = (_source(switch, model, framework) for framework in ("keras", "pytorch"))
        rows.append((model, switch, _in_words(ours), _in_words(theirs), not _same(ours, theirs), *files))
    columns = ["model", "switch", "keras", "pytorch", "differs", "keras_source", "pytorch_source"]
    return pd.DataFrame(rows, columns=columns)


def _same(first: Value, second: Value) -> bool:
    if isinstance(first, str) or isinstance(second, str):
        return first == second
    return len(first) == len(second) and np.allclose(first, second, rtol=CLOSE)


def _in_words(value: Value) -> str:
    return value if isinstance(value, str) else ", ".join(f"{number:.3g}" for number in value)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(values))) or "none"


def _of_kind(network: keras.Model | nn.Module, *kinds: type) -> list:
    layers = flattened(network) if isinstance(network, keras.Model) else network.modules()
    return [layer for layer in layers if isinstance(layer, kinds)]


_KERAS_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def _keras_bn_variance(network: keras.Model) -> str:
    norms = _of_kind(network, keras.layers.BatchNormalization)
    if not norms:
        return "none"
    norm = type(norms[0])(momentum=0.0, dtype="float32")
    norm(np.array([[-1.0], [1.0]], "float32"), training=True)
    return _divisor(float(norm.moving_variance.numpy()[0]))


def _pytorch_bn_variance(network: nn.Module) -> str:
    norms = _of_kind(network, nn.BatchNorm2d)
    if not norms:
        return "none"
    norm = type(norms[0])(1, momentum=1.0)
    norm(torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1))
    return _divisor(norm.running_var.item())


def _divisor(variance: float) -> str:
    """Return the divisor of the squares of -1 and 1, in words."""
    return {1.0: "squares / n", 2.0: "squares / (n - 1)"}[round(variance, 6)]


def _biases(convolutions: Sequence, has_bias: Callable[[object], bool]) -> str:
    return f"{sum(map(has_bias, convolutions))} of {len(convolutions)} convolutions"


def _strided(kernels: Sequence[tuple[int, int]]) -> str:
    counts = sorted(Counter(kernels).items())
    return ", ".join(f"{height}x{width}: {count}" for (height, width), count in counts) or "none"


def _keras_strided(network: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in _of_kind(network, *_KERAS_CONVOLUTIONS) if layer.strides == (2, 2)]


def _pytorch_strided(network: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in _of_kind(network, nn.Conv2d) if layer.stride == (2, 2)]


def _keras_padding(network: keras.Model) -> str:
    return _sides(_keras_sides(layer) for layer in _keras_strided(network))


def _keras_sides(layer: keras.layers.Layer) -> tuple[int, int]:
    """Return the padding of a strided convolution, above and below: its own ("same"), or that of the layer before."""
    if layer.padding == "same":
        total = max(layer.kernel_size[0] - layer.strides[0], 0)
        return total // 2, total - total // 2
    before = layer.input._keras_history.operation
    return before.padding[0] if isinstance(before, keras.layers.ZeroPadding2D) else (0, 0)


def _pytorch_padding(network: nn.Module) -> str:
    return _sides((layer.padding[0],) * 2 for layer in _pytorch_strided(network))


def _sides(sides: Iterable[tuple[int, int]]) -> str:
    """Return whether strided convolutions pad symmetrically, and how if not, in words."""
    return (
        "; ".join(sorted({f"{above} above, {below} below" for above, below in sides if above != below})) or "symmetric"
    )


def _keras_depth(network: keras.Model) -> str:
    return _listed(
        [layer.drop_path_rate for layer in _of_kind(network, keras.layers.Layer) if "Stoch" in type(layer).__name__]
    )


def _pytorch_depth(network: nn.Module) -> str:
    rates = [layer.p for layer in _of_kind(network, ops.StochasticDepth) if layer.p]
    return f"up to {max(rates):g}, rising over {len(rates)} blocks" if rates else "none"


def _initialisation(network: keras.Model | nn.Module) -> tuple[float, ...]:
    """Return the standard deviation times the root of the fan-out, for the median convolution and for the head."""
    kernels = [value for value in weights.read(network).values() if value.ndim == 4]
    head = [value for value in weights.read(network).values() if value.ndim == 2][-1]
    scaled = [kernel.std() * np.sqrt(kernel.shape[0] * kernel[0, 0].size) for kernel in kernels]
    return float(np.median(scaled)), float(head.std() * np.sqrt(head.shape[0]))


def _settings(weight_decay: float) -> SGD:
    return SGD(name="sgd", learning_rate=_RATES[0], momentum=0.9, nesterov=True, weight_decay=weight_decay)


def _keras_course(settings: SGD, weight: float, gradient: float) -> float:
    """Return a weight after three steps of Keras' optimizer with this gradient, at falling rates."""
    variable = keras.Variable([weight], dtype="float32")
    optimizer = keras_optimizers.sgd(settings, keras_networks.NATIVE)
    optimizer.build([variable])
    for rate in _RATES:
        optimizer.learning_rate.assign(rate)
        optimizer.apply([keras.ops.convert_to_tensor([gradient])], [variable])
    return float(variable.numpy()[0])


def _pytorch_course(settings: SGD, weight: float, gradient: float) -> float:
    """Return the same for PyTorch's optimizer."""
    parameter = nn.Parameter(torch.tensor([weight]))
    optimizer = pytorch_optimizers.optimizer(nn.ParameterList([parameter]), settings, pytorch_networks.NATIVE)
    for rate in _RATES:
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor([gradient])
        optimizer.step()
    return parameter.item()


_RATES = (0.1, 0.05, 0.025)


def _decayed(course: Callable[[SGD, float, float], float]) -> tuple[float]:
    """Return the loss of a weight of 1 by a weight decay of 0.1 at a gradient of 0."""
    return (1 - course(_settings(weight_decay=0.1), 1.0, 0.0),)


def _moved(course: Callable[[SGD, float, float], float]) -> tuple[float]:
    """Return the movement of a weight at a gradient of 1."""
    return (-course(_settings(weight_decay=0.0), 0.0, 1.0),)


_READERS: dict[Switch, tuple[Callable[[keras.Model], Value], Callable[[nn.Module], Value]]] = {
    "bn_eps": (
        lambda network: _listed([norm.epsilon for norm in _of_kind(network, keras.layers.BatchNormalization)]),
        lambda network: _listed([norm.eps for norm in _of_kind(network, nn.BatchNorm2d)]),
    ),
    "bn_momentum": (
        lambda network: _listed([norm.momentum for norm in _of_kind(network, keras.layers.BatchNormalization)]),
        lambda network: _listed([1 - norm.momentum for norm in _of_kind(network, nn.BatchNorm2d)]),
    ),
    "bn_variance": (_keras_bn_variance, _pytorch_bn_variance),
    "conv_bias": (
        lambda network: _biases(_of_kind(network, *_KERAS_CONVOLUTIONS), lambda layer: layer.use_bias),
        lambda network: _biases(_of_kind(network, nn.Conv2d), lambda layer: layer.bias is not None),
    ),
    "stride": (
        lambda network: _strided([layer.kernel_size for layer in _keras_strided(network)]),
        lambda network: _strided([layer.kernel_size for layer in _pytorch_strided(network)]),
    ),
    "padding": (_keras_padding, _pytorch_padding),
    "dropout": (
        lambda network: _listed([layer.rate for layer in _of_kind(network, keras.layers.Dropout)]),
        lambda network: _listed([layer.p for layer in _of_kind(network, nn.Dropout) if layer.p]),
    ),
    "stochastic_depth": (_keras_depth, _pytorch_depth),
    "initialisation": (_initialisation, _initialisation),
    "weight_decay": (lambda _: _decayed(_keras_course), lambda _: _decayed(_pytorch_course)),
    "momentum_form": (lambda _: _moved(_keras_course), lambda _: _moved(_pytorch_course)),
}
"""The functions that read each switch from a network of Keras and of PyTorch."""

_ELSEWHERE: dict[tuple[Switch, Framework], object] = {
    ("bn_variance", "keras"): keras.layers.BatchNormalization,
    ("bn_variance", "pytorch"): nn.BatchNorm2d,
    ("initialisation", "keras"): keras.initializers.GlorotUniform,
    ("weight_decay", "keras"): keras.optimizers.Optimizer.apply,
    ("weight_decay", "pytorch"): torch.optim.SGD,
    ("momentum_form", "keras"): keras.optimizers.SGD,
    ("momentum_form", "pytorch"): torch.optim.SGD,
}
"""The sources of differences outside the network's own file."""


def _source(switch: Switch, model: str, framework: Framework) -> str:
    """Return the file that defines a framework's behaviour, relative to the folder of installed packages."""
    module = import_module(twins()[model].sources[framework == "pytorch"])
    path = Path(inspect.getsourcefile(_ELSEWHERE.get((switch, framework), module)))
    packages, project = Path(keras.__file__).parents[1], Path(__file__).parents[2]
    return path.relative_to(packages if path.is_relative_to(packages) else project).as_posix()
