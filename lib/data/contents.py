"""Digests, splits and statistics of a store's arrays, computed without the whole array in memory."""

import hashlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lib.study.datasets import Dataset

CHUNK = 2_000
"""Images read at a time: 25 MB of 64 x 64 pixels."""


class Moments(NamedTuple):
    """Mean and population standard deviation of each channel, float64 (C,)."""

    mean: np.ndarray
    std: np.ndarray


def chunks(array: np.ndarray, indices: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield an array, or the rows of it at `indices`, `CHUNK` rows at a time."""
    for start in range(0, len(array) if indices is None else len(indices), CHUNK):
        part = slice(start, start + CHUNK)
        yield array[part] if indices is None else array[indices[part]]


def sha256(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's shape and values; the same for every width of integer labels."""
    content_type = "|u1" if array.dtype == np.uint8 and array.ndim > 1 else "<i8"
    digest = hashlib.sha256(f"{content_type}{array.shape}".encode())
    for chunk in chunks(array):
        digest.update(np.ascontiguousarray(chunk, dtype=content_type))
    return digest.hexdigest()


def combined_digest(digests: dict[str, str]) -> str:
    """Return one SHA-256 for several named ones; it does not depend on their order."""
    return hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()


def val_size(dataset: Dataset, images: int) -> int:
    """Return how many of `images` train images the val split gets: the official share, at least one a class."""
    return max(round(images * dataset.val / dataset.train), dataset.classes)


def split_indices(dataset: Dataset, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the int64 indices of the train and the val split: stratified, seed 42, in scikit-learn's order."""
    from sklearn.model_selection import train_test_split  # a run, which only reads a store, would wait a second for it

    everything = np.arange(len(labels), dtype=np.int64)
    size = val_size(dataset, len(labels))
    train, val = train_test_split(everything, test_size=size, stratify=labels, random_state=42)
    return train, val


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """Return an order of `labels` (N,) whose first k have nearly the classes' shares, for every k; seed 42.

    Each class is shuffled and its members are spread evenly over [0, 1]; the order is that of these places. A larger
    limited split contains every smaller one.
    """
    shuffled = np.random.RandomState(42).permutation(len(labels))  # NumPy guarantees that this stream never changes
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels[shuffled] == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place, kind="stable")]


def histogram(images: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return how often each byte occurs in each channel of the images at `indices`, int64 (C, 256)."""
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for chunk in chunks(images, np.sort(indices)):
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    return counts


def moments(counts: np.ndarray, values: np.ndarray) -> Moments:
    """Return the moments of a histogram (C, 256) whose bytes stand for `values`, (256,) or (C, 256).

    Whole counts and exact sums: the result is the same on every machine and for every order of the images.
    """
    totals = counts.sum(axis=1)
    values = np.broadcast_to(values, counts.shape).astype(np.float64)
    mean = np.array([math.fsum(row) for row in counts * values]) / totals
    variance = np.array([math.fsum(row) for row in counts * (values - mean[:, None]) ** 2]) / totals
    return Moments(mean, np.sqrt(variance))


def grey_images(images: np.ndarray) -> int:
    """Return how many images have equal channels."""
    return sum(int((chunk == chunk[..., :1]).all(axis=(1, 2, 3)).sum()) for chunk in chunks(images))
