"""The rungs on the networks' architecture: parameters, every tensor, and the shapes of feature maps."""

import math
from collections.abc import Collection, Iterable, Mapping

import keras
import numpy as np
import pandas as pd
import torch

from lib.keras import networks as keras_networks
from lib.keras.weights import tensors
from lib.pytorch import networks as pytorch_networks
from lib.study.conventions import Conventions, Framework, Switch, followed
from lib.study.models import twins

CHANNELS = 3
"""The channels of the images that networks are compared on."""


def parameter_table(models: Iterable[str], sizes: Iterable[int], classes: Iterable[int]) -> pd.DataFrame:
    """Count the trainable parameters of every model at every input size with every number of classes.

    Returns:
        Columns `model`, `input_size`, `num_classes`, `pytorch_params`, `keras_params`, `diff_pct`, `limit_pct`,
        `passed`. `limit_pct` is the model's own limit.
    """
    index = pd.MultiIndex.from_product([models, sizes, classes], names=["model", "input_size", "num_classes"])
    table = index.to_frame(index=False)
    table["pytorch_params"] = [pytorch_networks.parameters(_meta_model(*row)) for row in index]
    table["keras_params"] = [keras_networks.parameters(_keras_model(*row)) for row in index]
    table["diff_pct"] = 100 * (table.keras_params - table.pytorch_params).abs() / table.pytorch_params
    table["limit_pct"] = table.model.map({model: twin.parameter_limit for model, twin in twins().items()})
    table["passed"] = table.diff_pct <= table.limit_pct
    return table


def feature_maps(model: str, size: int, classes: int) -> pd.DataFrame:
    """Compare the shape, as height x width x channels, at the end of every stage of a model, and that of its logits.

    Returns:
        Columns `model`, `input_size`, `stage`, `pytorch`, `keras`, `passed`.
    """
    torch_model, keras_model = _meta_model(model, size, classes).eval(), _keras_model(model, size, classes)
    stages = twins()[model].stages
    modules, layers = zip(*stages.values(), strict=True)
    torch_shapes = _torch_shapes(torch_model, modules, size)
    keras_shapes = [keras_output(keras_model, name).shape for name in layers] + [keras_model.output_shape]
    table = pd.DataFrame({"stage": [*stages, "logits"]})
    table["pytorch"] = [_text(np.roll(shape[1:], -1)) for shape in torch_shapes]
    table["keras"] = [_text(shape[1:]) for shape in keras_shapes]
    table["passed"] = table.pytorch == table.keras
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))


def keras_output(model: keras.Model, layer: str) -> keras.KerasTensor:
    """Return the output of a layer that is the end of a stage; "addition 3" is the third addition of the network."""
    if layer.startswith("addition "):
        additions = [one for one in model.operations if type(one).__name__ == "Add"]
        return additions[int(layer.split()[1]) - 1].output
    return model.get_layer(layer).output


def tensor_table(
    model: str, size: int, aligned: Collection[Switch] = (), reference: Framework = "pytorch"
) -> pd.DataFrame:
    """Compare every weight and buffer of a model with its counterpart, by shape: one row for each that differs.

    Natively only biases of convolutions may exist in one framework only; aligned, nothing may.

    Returns:
        Columns `model`, `input_size`, `conventions`, `layer`, `tensors`, `pytorch`, `keras` (numbers in them), `why`,
        `passed`. The last row, `all others`, counts the tensors that are the same in name and shape.
    """
    keras_model = _keras_model(model, size, 10, followed("keras", aligned, reference))
    in_keras = {tensor.name: tensor.shape for tensor in tensors(keras_model)}
    state = _meta_model(model, size, 10, followed("pytorch", aligned, reference)).state_dict()
    in_torch = {name: tuple(value.shape) for name, value in state.items() if value.is_floating_point()}
    rows = []
    for name in sorted(in_keras.keys() | in_torch.keys()):
        shapes = in_torch.get(name), in_keras.get(name)
        if shapes[0] != shapes[1]:
            known = not aligned and "conv_bias" in twins()[model].differences and _is_conv_bias(name, in_keras)
            why = "bias in front of a batch normalisation, which takes it out" if known else "unexplained"
            rows.append((name, 1, *(0 if shape is None else math.prod(shape) for shape in shapes), why, known))
    same = [shape for name, shape in in_torch.items() if in_keras.get(name) == shape]
    numbers = sum(map(math.prod, same))
    rows.append(("all others", len(same), numbers, numbers, "", True))
    table = pd.DataFrame(rows, columns=["layer", "tensors", "pytorch", "keras", "why", "passed"])
    heads = {"model": model, "input_size": size, "conventions": "aligned" if aligned else "native"}
    return pd.DataFrame(heads | dict(table))


def _is_conv_bias(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return name.endswith(".bias") and len(shapes.get(name.removesuffix("bias") + "weight", ())) == 4


def _keras_model(model: str, size: int, classes: int, conventions: Conventions = keras_networks.NATIVE) -> keras.Model:
    return keras_networks.build(model, (size, size, CHANNELS), classes, conventions)


def _meta_model(
    model: str, size: int, classes: int, conventions: Conventions = pytorch_networks.NATIVE
) -> torch.nn.Module:
    """Return PyTorch's network on the `meta` device, which has shapes only."""
    with torch.device("meta"):
        return pytorch_networks.build(model, (size, size, CHANNELS), classes, conventions)


def _torch_shapes(model: torch.nn.Module, modules: Iterable[str], size: int) -> list[tuple[int, ...]]:
    """Return the output shapes of the named modules, and of the model last."""
    shapes = []
    for module in (*map(model.get_submodule, modules), model):
        module.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    model(torch.empty(1, CHANNELS, size, size, device="meta"))
    return shapes


def _text(shape: Iterable[int]) -> str:
    return "x".join(str(length) for length in shape)
