"""The parity ladder: the two implementations side by side, one rung for each thing that should be the same.

A rung is a function that returns a tidy table, one row a comparison, whose column `passed` says whether the row held.
What a rung allows is a constant of this module, with its reason. `ladder` counts the rows of several rungs.

This is the only module where both frameworks meet.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from lib.data.store import Split, Store
from lib.figures import LINES, TITLES, WIDTH, styled
from lib.keras import models as keras_models
from lib.keras.data import evaluation_dataset
from lib.keras.learner import KerasLearner
from lib.params import Cell
from lib.pytorch import models as pytorch_models
from lib.pytorch.data import evaluation_loader
from lib.pytorch.learner import PyTorchLearner
from lib.training import learning_rate

PARAMETER_LIMITS = {"mobilenetv2": 1.0, "resnet50": 1.0, "convnext_tiny": 5.0, "resnet20": 0.0}
"""Largest difference of the trainable parameters, in percent of PyTorch's.

The two libraries' own variants differ a little: the biases of ResNet-50's convolutions in Keras are 0.11 %. A stem is
less than that, so the feature maps are compared too. `resnet20` is one architecture written twice: nothing is allowed.
"""

PIXEL_LIMIT = 1e-5
"""Largest difference of a normalised pixel: some ten float32 roundings of values about 2. One grey level is 0.01."""

RATE_LIMIT = 1e-6
"""Largest difference of a learning rate: Keras holds it in float32, which rounds 0.1 by up to 4e-9."""

LAST_RATE_LIMIT = 0.01
"""Largest rate at the last step, as a share of the peak: the cosine is 0 one step later, and 16 steps reach this.

A schedule with a shorter cosine is not held against it.
"""

SHORTEST_COSINE = 16
"""Steps of a cosine that can be close to 0 at its last one."""

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
    # Keras gives ConvNeXt's additions no stable names; the last layer of the branch that is added has the same shape.
    "convnext_tiny": {
        "stem": ("features.0", "convnext_tiny_stem"),
        "stage 1": ("features.1", "convnext_tiny_stage_0_block_2_identity"),
        "stage 2": ("features.3", "convnext_tiny_stage_1_block_2_identity"),
        "stage 3": ("features.5", "convnext_tiny_stage_2_block_8_identity"),
        "stage 4": ("features.7", "convnext_tiny_stage_3_block_2_identity"),
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
    keras_shapes = [keras_model.get_layer(name).output.shape for name in layers] + [keras_model.output_shape]
    table = pd.DataFrame({"stage": [*STAGES[model], "logits"]})
    table["pytorch"] = [_text(np.roll(shape[1:], -1)) for shape in torch_shapes]
    table["keras"] = [_text(shape[1:]) for shape in keras_shapes]
    table["passed"] = table.pytorch == table.keras
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))


def pixels(split: Split, store: Store, batch_size: int = 256) -> pd.DataFrame:
    """Send the same images through both evaluation pipelines and compare what arrives, number by number.

    That both start from the same bytes is checked by taking the normalisation back: every pixel must come out as the
    byte in the store, and every label as its label.

    Returns:
        One row with `dataset`, `images`, `largest_difference`, `limit`, `wrong_bytes`, `wrong_labels`, `passed`.
    """
    batches = zip(
        _arrays(evaluation_loader(split, store, batch_size, num_workers=0)),
        _arrays(evaluation_dataset(split, store, batch_size)),
        strict=True,
    )
    row = {"images": 0, "largest_difference": 0.0, "limit": PIXEL_LIMIT, "wrong_bytes": 0, "wrong_labels": 0}
    for (torch_images, torch_labels), (keras_images, keras_labels) in batches:
        indices = split.indices[row["images"] : row["images"] + len(keras_images)]
        torch_images = torch_images.transpose(0, 2, 3, 1)
        row["images"] += len(indices)
        row["largest_difference"] = max(row["largest_difference"], float(np.abs(torch_images - keras_images).max()))
        for images, labels in ((torch_images, torch_labels), (keras_images, keras_labels)):
            row["wrong_bytes"] += int((_bytes(images, store) != split.images[indices]).sum())
            row["wrong_labels"] += int((labels != split.labels[indices]).sum())
    row["passed"] = (
        row["largest_difference"] < PIXEL_LIMIT
        and not row["wrong_bytes"] + row["wrong_labels"]
        and row["images"] == len(split.indices)
    )
    return pd.DataFrame([{"dataset": store.dataset.name} | row])


def held_rates(cell: Cell, store: Store) -> pd.DataFrame:
    """Set the rate of every step of a cell's schedule on both learners, and read it back from the optimizers.

    The learners take `resnet20` whatever the cell's model: the rate does not depend on it, and it is built quickly. And
    they load without processes of their own, which must not be forked from one that holds TensorFlow's threads.

    Returns:
        Columns `framework`, `step` (from 0), `planned`, `held`.
    """
    alone = cell.settings.model_copy(update={"num_workers": 0})
    cell = cell.model_copy(update={"model": "resnet20", "settings": alone})
    learners = {"keras": KerasLearner(cell, store), "pytorch": PyTorchLearner(cell, store)}
    return pd.DataFrame(
        {"framework": framework, "step": step, "planned": planned, "held": _held(learner, planned)}
        for framework, learner in learners.items()
        for step, planned in enumerate(_schedule(cell, learner.steps_per_epoch))
    )


def learning_rates(cell: Cell, held: pd.DataFrame) -> pd.DataFrame:
    """Hold what `held_rates` read against the schedule: at every step, and at the three steps that give it its shape.

    Returns:
        Columns `dataset`, `framework`, `check`, `measured`, `expected`, `limit`, `passed`.
    """
    settings = cell.settings
    rows = []
    for framework, rates in held.groupby("framework", sort=False):
        warmup = settings.warmup_epochs * len(rates) // settings.epochs
        first = 0.0 if warmup else settings.learning_rate
        checks = {
            f"largest gap in {len(rates):,} steps": ((rates.held - rates.planned).abs().max(), 0.0, RATE_LIMIT),
            "first step": (rates.held.iloc[0], first, RATE_LIMIT),
            "end of the warm-up": (rates.held.iloc[warmup], settings.learning_rate, RATE_LIMIT),
        }
        if len(rates) - warmup >= SHORTEST_COSINE:
            checks["last step"] = (rates.held.iloc[-1], 0.0, LAST_RATE_LIMIT * settings.learning_rate)
        rows += [(cell.dataset, framework, check, *values) for check, values in checks.items()]
    table = pd.DataFrame(rows, columns=["dataset", "framework", "check", "measured", "expected", "limit"])
    table["passed"] = (table.measured - table.expected).abs() < table.limit
    return table


@styled
def draw_rates(held: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw, a column a dataset, the rates that `held_rates` read and how far they are from the planned ones.

    Of a long schedule some 400 steps are drawn.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    columns = figure.subplots(2, len(held), sharex="col", squeeze=False).T
    for (rate, gap), (dataset, rates) in zip(columns, held.items(), strict=True):
        for framework, steps in rates.groupby("framework", sort=False):
            drawn = steps.iloc[:: max(1, len(steps) // 400)]
            rate.plot(drawn.step, drawn.held, label=TITLES[framework], **LINES[framework])
            gap.plot(drawn.step, drawn.held - drawn.planned, linewidth=0.8, **LINES[framework])
        rate.set_title(dataset)
        gap.set_xlabel("Step")
    columns[0, 0].set_ylabel("Learning rate held")
    columns[0, 1].set_ylabel("Held minus planned")
    figure.legend(*columns[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def ladder(rungs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count how many comparisons of each rung held; a rung holds where all of them do.

    Returns:
        Columns `rung`, `comparisons`, `held`, `passed`.
    """
    counts = [(name, len(table), int(table.passed.sum())) for name, table in rungs.items()]
    table = pd.DataFrame(counts, columns=["rung", "comparisons", "held"])
    table["passed"] = table.held == table.comparisons
    return table


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


def _arrays(batches: Iterable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images and labels as NumPy arrays, whichever framework's tensors they were."""
    for images, labels in batches:
        yield np.asarray(images), np.asarray(labels)


def _bytes(images: np.ndarray, store: Store) -> np.ndarray:
    """Take the normalisation back: the bytes `(N, H, W, 3)` that the images were."""
    return np.rint((images * store.std + store.mean) * 255).astype(np.uint8)


def _schedule(cell: Cell, steps: int) -> Iterator[float]:
    return (learning_rate(cell.settings, steps, step) for step in range(cell.settings.epochs * steps))


def _held(learner: PyTorchLearner | KerasLearner, rate: float) -> float:
    learner.set_learning_rate(rate)
    return learner.learning_rate()
