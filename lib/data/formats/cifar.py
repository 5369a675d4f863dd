"""CIFAR's Python format: pickled batches of images and labels.

Source: https://www.cs.toronto.edu/~kriz/cifar.html, "Dataset layout".
"""

import io
import math
import pickle
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from lib.data.archives import Members, Part
from lib.errors import DataError
from lib.study.datasets import Dataset


def read_cifar10(dataset: Dataset, files: Members) -> tuple[Part, Part]:
    """Return the train and the test part: five train batches and a test batch."""
    train = [f"data_batch_{number}" for number in range(1, 6)]
    return _part(dataset, files, train, "labels"), _part(dataset, files, ["test_batch"], "labels")


def read_cifar100(dataset: Dataset, files: Members) -> tuple[Part, Part]:
    """Return the train and the test part: one batch each, with the 100 fine labels."""
    return _part(dataset, files, ["train"], "fine_labels"), _part(dataset, files, ["test"], "fine_labels")


def _part(dataset: Dataset, files: Members, names: Sequence[str], label_key: str) -> Part:
    batches = [_batch(dataset, files, name, label_key) for name in names]
    labels = np.concatenate([batch.labels for batch in batches])
    return Part(labels, chain.from_iterable(batch.images for batch in batches))


def _batch(dataset: Dataset, files: Members, name: str, label_key: str) -> Part:
    """Read one batch: a dictionary with `data`, uint8 (N, 3072), each row the red, the green and the blue plane."""
    where = f"{files.origin}: {name}"
    batch = _unpickle(files.read(name), where)
    try:
        data, labels = np.asarray(batch["data"]), np.asarray(batch[label_key])
    except (KeyError, TypeError) as error:
        raise DataError(f"{where} is no CIFAR batch: it has no 'data' or no {label_key!r}") from error
    height, width, channels = dataset.shape
    expected = (len(labels), math.prod(dataset.shape))
    if data.dtype != np.uint8 or data.shape != expected:
        raise DataError(
            f"{where} holds {data.dtype} {data.shape} for {len(labels)} labels, not uint8 (N, {expected[1]}) for N"
        )
    return Part(labels, data.reshape(-1, channels, height, width).transpose(0, 2, 3, 1))


class _ArraysOnly(pickle.Unpickler):
    """Reads plain values and NumPy arrays; a pickle that names anything else could run foreign code."""

    ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.numeric", "_frombuffer"),
            ("_codecs", "encode"),  # how Python 3 writes bytes in the protocol of Python 2
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # the name in NumPy 1, which wrote the batches
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image batch needs")
        return super().find_class(module, name)


def _unpickle(content: bytes, where: str) -> dict[str, Any]:
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # damaged bytes make a pickle raise almost anything
        raise DataError(f"{where} cannot be read as a batch of images: {error}") from error
    if not isinstance(batch, dict):
        raise DataError(f"{where} is no CIFAR batch: it holds a {type(batch).__name__}, not a dictionary")
    return {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
