"""The rungs on a network's inputs: pixels, the stream of an epoch, the learning rate of each step."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

import numpy as np
import pandas as pd

from lib.data.store import Split, Store
from lib.keras.data import evaluation_dataset
from lib.keras.learner import KerasLearner
from lib.keras.optimizers import OPTIMIZERS
from lib.pytorch.data import evaluation_loader
from lib.pytorch.learner import PyTorchLearner
from lib.study.cells import Cell
from lib.study.conventions import Framework
from lib.study.kinds import SGD, Cosine
from lib.study.models import MODELS
from lib.study.settings import Settings
from lib.training.schedules import learning_rate

Learner = KerasLearner | PyTorchLearner

PIXEL_LIMIT = 1e-5
"""Largest difference of a normalised pixel: about ten float32 roundings of values near 2. One grey level is 0.01."""

RATE_LIMIT = 1e-6
"""Largest difference of a learning rate: Keras keeps it in float32, which rounds 0.1 by up to 4e-9."""

LAST_RATE_LIMIT = 0.01
"""Largest rate of a cosine at its last step, as a share of the peak: it is 0 one step later."""

SHORTEST_COSINE = 16
"""The fewest steps after which a cosine is below `LAST_RATE_LIMIT`; a shorter one is not compared with it."""


def pixels(split: Split, store: Store, batch_size: int = 256) -> pd.DataFrame:
    """Send the same images through both evaluation pipelines and compare the results, number by number.

    The normalisation is then inverted: every pixel must be the byte in the store again, and every label its label.

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


def stream(keras: Iterable, pytorch: Iterable) -> pd.DataFrame:
    """Compare the training batches of both pipelines, in a shared pairing: bit for bit the same images and labels.

    Returns:
        One row with `batches`, `largest_difference`, `wrong_labels`, `passed`.
    """
    row = {"batches": 0, "largest_difference": 0.0, "wrong_labels": 0, "passed": True}
    for ours, theirs in zip_longest(_arrays(keras), _arrays(pytorch)):
        if ours is None or theirs is None:
            row["passed"] = False
            break
        gap = np.abs(ours[0] - theirs[0].transpose(0, 2, 3, 1)).max()
        row["batches"] += 1
        row["largest_difference"] = max(row["largest_difference"], float(gap))
        row["wrong_labels"] += int((ours[1] != theirs[1]).sum())
    row["passed"] &= not row["largest_difference"] and not row["wrong_labels"]
    return pd.DataFrame([row])


def held_rates(cell: Cell, store: Store) -> pd.DataFrame:
    """Set the rate of every step of a cell's schedule on both learners, and read it back from the optimizers.

    The rate depends neither on the network nor on the kind of optimizer: the first network that takes images of any
    size replaces the cell's, and SGD an optimizer that Keras does not have.

    Returns:
        Columns `framework`, `step` (from 0), `planned`, `held`.
    """
    model = next(name for name, model in MODELS.items() if model.twin and not model.sizes)
    optimizer = cell.settings.optimizer
    if optimizer.name not in OPTIMIZERS:
        optimizer = SGD(name="sgd", learning_rate=optimizer.learning_rate)
    # A worker must not be forked from a process with TensorFlow's threads.
    changes = {"num_workers": 0, "network": {}, "optimizer": optimizer}
    settings = cell.settings.model_copy(update=changes)
    cell = cell.model_copy(update={"model": model, "settings": settings})
    learners = {"keras": KerasLearner(cell, store), "pytorch": PyTorchLearner(cell, store)}
    return read_back(learners, settings, learners["keras"].steps_per_epoch)


def read_back(learners: Mapping[Framework, Learner], settings: Settings, steps: int) -> pd.DataFrame:
    """Set the rate of every step of a schedule with `steps` steps an epoch; the table is that of `held_rates`."""
    planned = [learning_rate(settings, steps, step) for step in range(settings.epochs * steps)]
    return pd.DataFrame(
        {"framework": framework, "step": step, "planned": rate, "held": _held(learner, rate)}
        for framework, learner in learners.items()
        for step, rate in enumerate(planned)
    )


def learning_rates(cell: Cell, held: pd.DataFrame) -> pd.DataFrame:
    """Compare the rates that `held_rates` read with the schedule: at every step, and where it has a known value.

    Returns:
        Columns `dataset`, `framework`, `check`, `measured`, `expected`, `limit`, `passed`.
    """
    rows = []
    for framework, rates in held.groupby("framework", sort=False):
        gap = (rates.held - rates.planned).abs().max()
        checks = {f"largest gap in {len(rates):,} steps": (gap, 0.0, RATE_LIMIT)} | _known(cell.settings, rates.held)
        rows += [(cell.dataset, framework, check, *values) for check, values in checks.items()]
    table = pd.DataFrame(rows, columns=["dataset", "framework", "check", "measured", "expected", "limit"])
    table["passed"] = (table.measured - table.expected).abs() < table.limit
    return table


def _known(settings: Settings, held: pd.Series) -> dict[str, tuple[float, float, float]]:
    """Return the rates at the steps that give a cosine its shape: measured, expected, limit."""
    if not isinstance(settings.schedule, Cosine):
        return {}
    peak = settings.optimizer.learning_rate
    warmup = settings.schedule.warmup_epochs * len(held) // settings.epochs
    checks = {
        "first step": (held.iloc[0], 0.0 if warmup else peak, RATE_LIMIT),
        "end of the warm-up": (held.iloc[warmup], peak, RATE_LIMIT),
    }
    if len(held) - warmup >= SHORTEST_COSINE:
        checks["last step"] = (held.iloc[-1], 0.0, LAST_RATE_LIMIT * peak)
    return checks


def _arrays(batches: Iterable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images and labels of either framework as NumPy arrays."""
    for images, labels in batches:
        yield np.asarray(images), np.asarray(labels)


def _bytes(images: np.ndarray, store: Store) -> np.ndarray:
    """Invert the normalisation of images; return their bytes `(N, H, W, C)`."""
    return np.rint((images * store.std + store.mean) * 255).astype(np.uint8)


def _held(learner: Learner, rate: float) -> float:
    learner.set_learning_rate(rate)
    return learner.learning_rate()
