"""The rungs that look at the networks' outside: parameters, tensor by tensor, and the shapes of feature maps."""

import math
from collections.abc import Collection, Iterable, Mapping

import keras
import numpy as np
import pandas as pd
import torch

from lib.keras import models as keras_models
from lib.keras.weights import tensors
from lib.pytorch import models as pytorch_models
from lib.study.conventions import DIFFERENCES, Framework, Switch, followed

PARAMETER_LIMITS = {"mobilenetv2": 1.0, "resnet50": 1.0, "convnext_tiny": 5.0, "resnet20": 0.0}
"""Largest difference of the trainable parameters, in percent of PyTorch's.

The two libraries' own variants differ a little: the biases of ResNet-50's convolutions in Keras are 0.11 %. A stem is
less than that, so the feature maps are compared too. `resnet20` is one architecture written twice: nothing is allowed.
"""

STAGES = {
    "mobilenetv2": {
        "stem": ("features.0", "Conv1_relu"),
        "16 channels": ("features.1", "expanded_conv_project_BN"),
        "24 channels": ("features.3", "block_2_add"),
        "32 channels": ("features.6", "block_5_add"),
        "64 channels": ("features.10", "block_9_add"),
        "96 channels": ("features.13", "block_12_add"),
        "160 channels": ("features.16", "block_15_add"),
        "320 channels": ("features.17", "block_16_project_BN"),
        "last map": ("features.18", "out_relu"),
    },
    "resnet50": {
        "stem": ("relu", "conv1_relu"),
        "stage 1": ("layer1", "conv2_block3_out"),
        "stage 2": ("layer2", "conv3_block4_out"),
        "stage 3": ("layer3", "conv4_block6_out"),
        "stage 4": ("layer4", "conv5_block3_out"),
    },
    # Keras gives ConvNeXt's additions no stable names, so they are counted.
    "convnext_tiny": {
        "stem": ("features.0", "convnext_tiny_stem"),
        "stage 1": ("features.1", "addition 3"),
        "stage 2": ("features.3", "addition 6"),
        "stage 3": ("features.5", "addition 15"),
        "stage 4": ("features.7", "addition 18"),
    },
    "resnet20": {
        "stem": ("bn", "bn"),
        "stage 1": ("stage1", "stage1.2.relu2"),
        "stage 2": ("stage2", "stage2.2.relu2"),
        "stage 3": ("stage3", "stage3.2.relu2"),
    },
}
"""The end of every stage of a model: its module's name in PyTorch and its layer's name in Keras."""


def parameter_table(models: Iterable[str], sizes: Iterable[int], classes: Iterable[int]) -> pd.DataFrame:
    """Count the trainable parameters of every model at every input size with every number of classes.

    Returns:
        Columns `model`, `input_size`, `num_classes`, `pytorch_params`, `keras_params`, `diff_pct`, `limit_pct`,
        `passed`. Each row builds both models, PyTorch's on its `meta` device, which holds shapes without numbers.
    """
    index = pd.MultiIndex.from_product([models, sizes, classes], names=["model", "input_size", "num_classes"])
    table = index.to_frame(index=False)
    table["pytorch_params"] = [pytorch_models.parameters(_meta_model(*row)) for row in index]
    table["keras_params"] = [keras_models.parameters(keras_models.build(*row)) for row in index]
    table["diff_pct"] = 100 * (table.keras_params - table.pytorch_params).abs() / table.pytorch_params
    table["limit_pct"] = table.model.map(PARAMETER_LIMITS)
    table["passed"] = table.diff_pct <= table.limit_pct
    return table


def feature_maps(model: str, size: int, classes: int) -> pd.DataFrame:
    """Compare the shape, as height x width x channels, at the end of every stage of a model, and that of its logits.

    Returns:
        Columns `model`, `input_size`, `stage`, `pytorch`, `keras`, `passed`.
    """
    torch_model, keras_model = _meta_model(model, size, classes).eval(), keras_models.build(model, size, classes)
    modules, layers = zip(*STAGES[model].values(), strict=True)
    torch_shapes = _torch_shapes(torch_model, modules, size)
    keras_shapes = [keras_output(keras_model, name).shape for name in layers] + [keras_model.output_shape]
    table = pd.DataFrame({"stage": [*STAGES[model], "logits"]})
    table["pytorch"] = [_text(np.roll(shape[1:], -1)) for shape in torch_shapes]
    table["keras"] = [_text(shape[1:]) for shape in keras_shapes]
    table["passed"] = table.pytorch == table.keras
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))


def keras_output(model: keras.Model, layer: str) -> keras.KerasTensor:
    """Return the output of a layer of `STAGES`."""
    if layer.startswith("addition "):
        additions = [one for one in model.operations if type(one).__name__ == "Add"]
        return additions[int(layer.split()[1]) - 1].output
    return model.get_layer(layer).output


def tensor_table(
    model: str, size: int, aligned: Collection[Switch] = (), reference: Framework = "pytorch"
) -> pd.DataFrame:
    """Hold every weight and buffer of a model against its namesake, layer by layer; a row a layer that differs.

    Natively only the biases of ResNet-50's convolutions may be in one framework alone; aligned, nothing may.

    Returns:
        Columns `model`, `input_size`, `conventions`, `layer`, `tensors`, `pytorch`, `keras` (numbers in them), `why`,
        `passed`. A last row, named `all others`, counts the tensors that are the same in name and shape.
    """
    keras_model = keras_models.build(model, size, 10, followed("keras", aligned, reference))
    in_keras = {tensor.name: tensor.shape for tensor in tensors(keras_model)}
    with torch.device("meta"):
        torch_model = pytorch_models.build(model, size, 10, followed("pytorch", aligned, reference))
    state = torch_model.state_dict()
    in_torch = {name: tuple(value.shape) for name, value in state.items() if value.is_floating_point()}
    rows = []
    for name in sorted(in_keras.keys() | in_torch.keys()):
        shapes = in_torch.get(name), in_keras.get(name)
        if shapes[0] != shapes[1]:
            known = not aligned and "conv_bias" in DIFFERENCES[model] and _is_conv_bias(name, in_keras)
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


def _meta_model(model: str, size: int, classes: int) -> torch.nn.Module:
    with torch.device("meta"):
        return pytorch_models.build(model, size, classes)


def _torch_shapes(model: torch.nn.Module, modules: Iterable[str], size: int) -> list[tuple[int, ...]]:
    """Return the output shapes of the named modules, and of the model last."""
    shapes = []
    for module in (*map(model.get_submodule, modules), model):
        module.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    model(torch.empty(1, 3, size, size, device="meta"))
    return shapes


def _text(shape: Iterable[int]) -> str:
    return "x".join(str(length) for length in shape)
