"""A prepared store, read: a dataset as memory-mapped NumPy arrays, with its splits and statistics."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lib import paths
from lib.data import contents, layout
from lib.data.layout import IMAGES_AND_LABELS, SPLITS, Manifest
from lib.errors import DataError
from lib.study.datasets import Dataset, choose


class Split(NamedTuple):
    """A split: `indices` int64 (n,) into `images` uint8 (N, H, W, C) and `labels` (N,), both the whole mapped file."""

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


@dataclass(frozen=True)
class Store:
    """A dataset mapped into memory: images uint8 (N, H, W, C), labels integer (N,), indices int64 into the train part.

    Indices are in scikit-learn's order. Tiny-ImageNet's test part is its official val set.
    """

    dataset: Dataset
    manifest: Manifest
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    train_indices: np.ndarray
    val_indices: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the six arrays by name."""
        return {name: getattr(self, name) for name in (*IMAGES_AND_LABELS, *SPLITS)}

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of each channel over the train split, pixels in [0, 1], float64 (C,)."""
        return np.array(self.manifest.mean)

    @cached_property
    def std(self) -> np.ndarray:
        """Standard deviation of each channel over the train split, pixels in [0, 1], float64 (C,)."""
        return np.array(self.manifest.std)

    @property
    def complete(self) -> bool:
        """Whether the store has as many images as the official dataset."""
        return self.manifest.complete

    @property
    def resplit(self) -> bool:
        """Whether the images were divided anew into train and test: the test images are not the official ones."""
        return self.manifest.origin.kind == "resplit"

    @property
    def digest(self) -> str:
        """SHA-256 of the contents of all arrays; it does not depend on their source."""
        return self.manifest.digest

    def split(self, name: str, samples: int | None = None) -> Split:
        """Return the split `train`, `val` or `test`, or at most `samples` of its images.

        A limited split keeps the classes' shares and the order of the whole; a larger one contains every smaller one.
        """
        part = "test" if name == "test" else "train"
        images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
        indices = np.arange(len(labels)) if name == "test" else np.asarray(getattr(self, f"{name}_indices"))
        if samples is not None and samples < len(indices):
            chosen = contents.stratified_order(labels[indices])[:samples]
            indices = indices[np.sort(chosen)]
        return Split(images, labels, indices)


def open_store(dataset: str) -> Store:
    """Open a prepared store; quick, since only arrays whose file was touched are read.

    Raises:
        ParameterError: the dataset is unknown.
        DataError: the dataset is not prepared, or its arrays have changed since.
    """
    facts, manifest = choose(dataset), layout.read_manifest(dataset)
    if manifest is None:
        raise DataError(f"{dataset} is not prepared: run `make data DATASET={dataset}`")
    if changed := layout.changed_arrays(manifest):
        named = ", ".join(f"data/{layout.relative(dataset, name)}" for name in changed)
        raise DataError(f"{named}: changed since {dataset} was prepared; run `make data DATASET={dataset}`")
    arrays = {name: layout.load_array(paths.DATA, dataset, name) for name in (*IMAGES_AND_LABELS, *SPLITS)}
    return Store(facts, manifest, **arrays)
