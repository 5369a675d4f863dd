"""scikit-learn's handwritten digits, 8 x 8 pixels with values from 0 to 16."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lib.data.archives import Members, Part
from lib.study.datasets import Dataset


def read(dataset: Dataset, files: Members | None) -> tuple[Part, Part]:
    """Return the digits in the dataset's size: each pixel repeated, its values 0..16 scaled to 0..255, in all channels.

    scikit-learn has no official test part: it is drawn here, stratified, with seed 42.
    """
    digits = load_digits()
    grey = ((digits.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)  # integers: the same bytes everywhere
    times = dataset.size // grey.shape[1]
    images = np.stack([grey.repeat(times, axis=1).repeat(times, axis=2)] * dataset.channels, axis=-1)
    parts = train_test_split(np.arange(len(images)), test_size=dataset.test, stratify=digits.target, random_state=42)
    train, test = (Part(digits.target[part].astype(np.int64), images[part]) for part in parts)
    return train, test
