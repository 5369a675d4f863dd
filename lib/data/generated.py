"""Generated images, for tests and rehearsals without real ones."""

import numpy as np

from lib.data.layout import Manifest, Origin
from lib.data.store import Store
from lib.study.datasets import Dataset


def images(dataset: Dataset, part: str, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw noise around a colour of each class, (n, H, W, C) and (n,): a network can learn something, if not much."""
    random = np.random.default_rng([dataset.classes, part == "test"])
    colours = np.random.default_rng(dataset.classes).uniform(60, 190, (dataset.classes, 1, 1, dataset.channels))
    labels = np.repeat(np.arange(dataset.classes), per_class)
    noise = random.normal(0, 40, (len(labels), *dataset.shape))
    return np.clip(colours[labels] + noise, 0, 255).astype(np.uint8), labels


def store(size: int, classes: int, per_class: int, channels: int = 3) -> Store:
    """Return a store of generated images in memory: `per_class` images of each class in each split."""
    count = classes * per_class
    dataset = Dataset("generated", "Generated images", classes, size, channels, train=2 * count, test=count, val=count)
    train_images, train_labels = images(dataset, "train", 2 * per_class)
    test_images, test_labels = images(dataset, "test", per_class)
    shares = train_images.reshape(-1, channels) / 255
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
