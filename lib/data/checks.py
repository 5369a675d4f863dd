"""The checks of a store, each with what was expected and what was found."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.data import contents
from lib.data.statistics import FILE, Statistics, read_statistics
from lib.data.store import Store
from lib.errors import DataError
from lib.study.datasets import Dataset

OFFICIAL_COUNTS = "official image counts"
"""The only check that fails for a store of a part of its dataset, or of a re-split one.

It counts the images; whether they came from files with the official checksums is the origin's `official`.
"""


class Check(NamedTuple):
    """One row of the table of checks."""

    check: str
    expected: str
    found: str
    passed: bool


def verify_labels(dataset: Dataset, labels: np.ndarray, part: str, where: str) -> None:
    """Raise `DataError` unless a part's labels fit a dataset, or a part of it that has every class.

    Args:
        dataset: the dataset that the labels should belong to.
        labels: one label an image.
        part: `train`, which needs two images of each class, one of them for val, or `test`.
        where: where the labels come from, for the message.
    """
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{where}: {part} labels are {labels.dtype} {labels.shape}, not integers (N,)")
    if len(labels) and (labels.min() < 0 or labels.max() >= dataset.classes):
        raise DataError(
            f"{where}: {part} labels run from {labels.min()} to {labels.max()}, not from 0 to {dataset.classes - 1}"
        )
    official, needed = (dataset.train, 2) if part == "train" else (dataset.test, 1)
    if (short := np.flatnonzero(np.bincount(labels, minlength=dataset.classes) < needed)).size:
        named = ", ".join(map(str, short[:10])) + (", ..." if short.size > 10 else "")
        raise DataError(f"{where}: fewer than {needed} {part} images of class {named}")
    if len(labels) > official:
        raise DataError(f"{where}: {len(labels):,} {part} images, and {dataset.title} has {official:,}")


def verify_arrays(dataset: Dataset, arrays: dict[str, np.ndarray], where: str) -> None:
    """Raise `DataError` unless the images and labels of both parts have the dataset's shape, type and range."""
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        verify_labels(dataset, labels, part, where)
        shape = (len(labels), *dataset.shape)
        if images.dtype != np.uint8 or images.shape != shape:
            raise DataError(f"{where}: {part} images are {images.dtype} {images.shape}, not uint8 {shape}")


def checks(store: Store) -> pd.DataFrame:
    """Return every check of a store as a table with the columns check, expected, found and passed.

    All arrays are read. A prepared store passes all checks, except "official image counts" if it is a part of its
    dataset or re-split.
    """
    return pd.DataFrame([*requirements(store), _contents(store), _statistics_file(store), _official_counts(store)])


def requirements(store: Store) -> Iterator[Check]:
    """Yield the checks that a store must pass to be prepared."""
    yield from _parts(store)
    yield from _splits(store)
    yield from _statistics(store)


def _parts(store: Store) -> Iterator[Check]:
    dataset = store.dataset
    balanced = store.complete and dataset.train % dataset.classes == 0
    for part, images, labels, official in (
        ("train", store.train_images, store.train_labels, dataset.train),
        ("test", store.test_images, store.test_labels, dataset.test),
    ):
        shape = f"{_product((len(labels), *dataset.shape))}, uint8"
        found = f"{_product(images.shape)}, {images.dtype}"
        yield Check(f"{part} images", shape, found, shape == found)
        classes = np.unique(labels)
        span = f"{len(classes)} from {classes.min()} to {classes.max()}"
        expected = f"{dataset.classes} from 0 to {dataset.classes - 1}"
        yield Check(f"{part} classes", expected, span, span == expected)
        counts = np.bincount(labels, minlength=dataset.classes)
        expected = f"{official // dataset.classes:,}" if balanced else "1 or more"
        yield Check(f"{part} images a class", expected, _span(counts), not balanced or _span(counts) == expected)
    if dataset.channels == 3:
        grey = f"{store.manifest.grey_train:,} train, {store.manifest.grey_test:,} test"
        rgb = store.train_images.shape[-1] == store.test_images.shape[-1] == 3
        yield Check("grey images", "stored as RGB", grey, rgb)


def _splits(store: Store) -> Iterator[Check]:
    train, val = store.train_indices, store.val_indices
    images = len(store.train_labels)
    size = contents.val_size(store.dataset, images)
    expected = f"{images - size:,} train, {size:,} val"
    found = f"{len(train):,} train, {len(val):,} val"
    yield Check("split sizes", expected, found, found == expected)
    counts = np.bincount(store.train_labels[val], minlength=store.dataset.classes)
    share = np.bincount(store.train_labels, minlength=store.dataset.classes) * size / images
    shares = f"{share.min():,.10g}" if np.ptp(share) == 0 else f"{share.min():,.1f} to {share.max():,.1f}"
    near = (np.abs(counts - share) < 1).all() and counts.all()
    yield Check("val images a class", shares, _span(counts), bool(near))
    common = len(np.intersect1d(train, val))
    yield Check("splits disjoint", "0 in common", f"{common:,} in common", common == 0)
    union = np.union1d(train, val)
    complete = np.array_equal(union, np.arange(images))
    yield Check("splits complete", f"{images:,} indices", f"{len(union):,} indices", complete)


def _statistics(store: Store) -> Iterator[Check]:
    mean, std = store.mean, store.std
    yield Check("mean", "in [0, 1]", _numbers(mean), bool(((mean >= 0) & (mean <= 1)).all()))
    yield Check("standard deviation", "in (0, 0.5]", _numbers(std), bool(((std > 0) & (std <= 0.5)).all()))
    if not std.all():
        return
    counts = contents.histogram(store.train_images, store.train_indices)
    pixels = (np.arange(256, dtype=np.float32) / 255 - mean[:, None]) / std[:, None]
    normalised = contents.moments(counts, pixels)
    yield Check("normalised train mean", "0 within 0.0001", _numbers(normalised.mean), _near(normalised.mean, 0))
    yield Check("normalised train std", "1 within 0.0001", _numbers(normalised.std), _near(normalised.std, 1))
    own = Statistics.of(store.manifest)
    others = {name: entry for name, entry in read_statistics().items() if name != store.dataset.name}
    same = [name for name, entry in others.items() if _alike(entry, own)]
    found = f"those of {', '.join(same)}" if same else "different"
    yield Check("statistics", "unlike other datasets'", found, not same)


def _alike(one: Statistics, other: Statistics) -> bool:
    """Whether two datasets have the same statistics to six digits, which only the same images have."""
    return len(one.mean) == len(other.mean) and np.allclose(
        [one.mean, one.std], [other.mean, other.std], rtol=0, atol=1e-6
    )


def _contents(store: Store) -> Check:
    digests = {name: contents.sha256(array) for name, array in store.arrays().items()}
    found = contents.combined_digest(digests)
    return Check("SHA-256 of the contents", store.digest[:12], found[:12], found == store.digest)


def _official_counts(store: Store) -> Check:
    expected = f"{store.dataset.train:,} train, {store.dataset.test:,} test"
    found = f"{len(store.train_labels):,} train, {len(store.test_labels):,} test" + ", re-split" * store.resplit
    return Check(OFFICIAL_COUNTS, expected, found, found == expected)


def _statistics_file(store: Store) -> Check:
    entry = read_statistics().get(store.dataset.name)
    same = entry == Statistics.of(store.manifest)
    found = "the same" if same else "different" if entry else "absent: `make data` writes it"
    return Check(f"params/{FILE}", "the same", found, same)


def _product(sides: tuple[int, ...]) -> str:
    return " x ".join(f"{side:,}" for side in sides)


def _span(counts: np.ndarray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4f}" for value in np.round(values, 4) + 0.0)


def _near(values: np.ndarray, target: float) -> bool:
    return bool((np.abs(values - target) < 1e-4).all())
