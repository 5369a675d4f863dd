"""The shared stream: an epoch's order, crops and flips, the same in both frameworks."""

from typing import NamedTuple

import numpy as np

from lib.study.settings import Settings


class Stream(NamedTuple):
    """An epoch's draws for the images of a split: `(n,)` positions, `(n, 2)` corners of crops, `(n,)` mirrored.

    A corner is the crop's top and left in the padded image, in pixels.
    """

    order: np.ndarray
    corners: np.ndarray
    mirrored: np.ndarray


def draw(epoch_seed: int, images: int, settings: Settings) -> Stream:
    """Draw an epoch's stream over a split of `images` images; it depends only on the epoch's seed."""
    random = np.random.default_rng(epoch_seed)
    order = random.permutation(images)
    corners = random.integers(0, 2 * settings.augmentation.crop_padding, (images, 2), endpoint=True)
    mirrored = (random.random(images) < 0.5) & settings.augmentation.flip
    return Stream(order, corners, mirrored)
