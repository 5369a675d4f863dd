"""The test logits of a run, `logits.npz`: how they are written and read."""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib import files
from lib.errors import DataError
from lib.runs import records
from lib.study.cells import Cell
from lib.study.datasets import DATASETS


class Predictions(NamedTuple):
    """Logits `(n, classes)` in float32, or float64 at that precision, and labels `(n,)`, in the order of the split."""

    logits: np.ndarray
    labels: np.ndarray


def write(path: Path, predictions: Predictions) -> None:
    """Write logits, rounded to float16, and labels, whole or not at all."""
    with files.replacing(path) as temporary:
        np.savez_compressed(temporary, logits=predictions.logits.astype(np.float16), labels=predictions.labels)


def read(cell: Cell) -> Predictions:
    """Read a run's test logits, float32 `(n, classes)`, and labels `(n,)`, in the order of the test split.

    A logit beyond the range of float16, which a diverged run may have, is read as the largest number of that type.

    Raises:
        DataError: the file is absent, damaged or of the wrong shape, or it holds NaN or a label that is no class.
    """
    path, classes = records.product(cell, "logits.npz"), DATASETS[cell.dataset].classes
    try:
        with np.load(path) as file:
            logits, labels = file["logits"].astype(np.float32), file["labels"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not the logits of a run: {error}") from None
    if labels.ndim != 1 or logits.shape != (len(labels), classes):
        shapes = f"logits {logits.shape} and labels {labels.shape}"
        raise DataError(f"{path}: holds {shapes}; {cell.dataset} has (n, {classes}) and (n,)")
    if np.isnan(logits).any() or not np.isin(labels, range(classes)).all():
        raise DataError(f"{path}: holds a logit that is no number, or a label that is no class of {cell.dataset}")
    largest = np.finfo(np.float16).max
    return Predictions(logits.clip(-largest, largest), labels)
