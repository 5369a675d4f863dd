"""The rungs that look at what a network is given: pixels, the stream of an epoch, the learning rate of each step."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

import numpy as np
import pandas as pd

from lib.data.store import Split, Store
from lib.keras.data import evaluation_dataset
from lib.keras.learner import KerasLearner
from lib.pytorch.data import evaluation_loader
from lib.pytorch.learner import PyTorchLearner
from lib.study.conventions import Framework
from lib.study.params import Cell, Settings
from lib.training.protocol import learning_rate

Learner = KerasLearner | PyTorchLearner

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

    The learners take `resnet20` whatever the cell's model: the rate does not depend on it, and it is built quickly. And
    they load without processes of their own, which must not be forked from one that holds TensorFlow's threads.

    Returns:
        Columns `framework`, `step` (from 0), `planned`, `held`.
    """
    alone = cell.settings.model_copy(update={"num_workers": 0})
    cell = cell.model_copy(update={"model": "resnet20", "settings": alone})
    learners = {"keras": KerasLearner(cell, store), "pytorch": PyTorchLearner(cell, store)}
    return read_back(learners, cell.settings, learners["keras"].steps_per_epoch)


def read_back(learners: Mapping[Framework, Learner], settings: Settings, steps: int) -> pd.DataFrame:
    """Set the rate of every step of a schedule with so many steps an epoch, and return what `held_rates` does."""
    planned = [learning_rate(settings, steps, step) for step in range(settings.epochs * steps)]
    return pd.DataFrame(
        {"framework": framework, "step": step, "planned": rate, "held": _held(learner, rate)}
        for framework, learner in learners.items()
        for step, rate in enumerate(planned)
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


def _arrays(batches: Iterable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images and labels as NumPy arrays, whichever framework's tensors they were."""
    for images, labels in batches:
        yield np.asarray(images), np.asarray(labels)


def _bytes(images: np.ndarray, store: Store) -> np.ndarray:
    """Take the normalisation back: the bytes `(N, H, W, 3)` that the images were."""
    return np.rint((images * store.std + store.mean) * 255).astype(np.uint8)


def _held(learner: Learner, rate: float) -> float:
    learner.set_learning_rate(rate)
    return learner.learning_rate()
