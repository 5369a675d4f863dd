"""Made-up images: something to compute with where no real ones are at hand."""

import numpy as np

from lib.data.layout import Manifest
from lib.data.sources import Origin
from lib.data.store import Store
from lib.study.datasets import Dataset


def images(dataset: Dataset, part: str, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw noise around a colour of each class, (n, H, W, 3) and (n,): there is something to learn, and little."""
    random = np.random.default_rng([dataset.classes, part == "test"])
    colours = np.random.default_rng(dataset.classes).uniform(60, 190, (dataset.classes, 1, 1, 3))
    labels = np.repeat(np.arange(dataset.classes), per_class)
    noise = random.normal(0, 40, (len(labels), dataset.size, dataset.size, 3))
    return np.clip(colours[labels] + noise, 0, 255).astype(np.uint8), labels


def store(size: int, classes: int, per_class: int) -> Store:
    """Return a store of such images, held in memory: each class as often in train as in val and in test."""
    count = classes * per_class
    dataset = Dataset("generated", "Generated images", classes, size, train=2 * count, test=count, val=count)
    train_images, train_labels = images(dataset, "train", 2 * per_class)
    test_images, test_labels = images(dataset, "test", per_class)
    shares = train_images.reshape(-1, 3) / 255
    manifest = Manifest(
        dataset=dataset.name,
        complete=True,
        origin=Origin("generated"),
        arrays={},
        digest="generated",
        mean=tuple(shares.mean(axis=0)),
        std=tuple(shares.std(axis=0)),
        grey_train=0,
        grey_test=0,
    )
    indices = np.arange(2 * count)
    return Store(dataset, manifest, train_images, train_labels, test_images, test_labels, indices[::2], indices[1::2])
