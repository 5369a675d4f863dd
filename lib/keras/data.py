"""Keras' input pipeline: `tf.data`, with its own stateless random operations or the stream that both frameworks share.

A crop or a flip is a function of the epoch's seed and the image's index: results do not depend on parallel maps.
"""

import numpy as np
import tensorflow as tf

from lib.data import stream
from lib.data.store import Split, Store
from lib.study.settings import Settings


class TrainingPipeline:
    """A train split in the host's memory, and a dataset of it for each epoch."""

    def __init__(self, split: Split, store: Store, settings: Settings, steps: int) -> None:
        self._images, self._labels = _load(split)
        self._normalise = _normaliser(store)
        self._settings, self._steps = settings, steps

    def epoch(self, seed: int) -> tf.data.Dataset:
        """Return the epoch's batches: images `(B, H, W, C)` in float32 and labels `(B,)`."""
        images = self._from_the_stream(seed) if self._settings.pairing.shared else self._from_tensorflow(seed)
        return images.batch(self._settings.batch_size, drop_remainder=True).take(self._steps).prefetch(tf.data.AUTOTUNE)

    def _from_tensorflow(self, seed: int) -> tf.data.Dataset:
        """Return the epoch's images and labels, drawn by TensorFlow.

        Positions are shuffled instead of images, so that the buffer can hold all of them: a smaller buffer would not
        shuffle fully.
        """
        count = len(self._labels)

        def draw(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = self._augment(self._images[position], tf.stack([tf.constant(seed, tf.int64), position]))
            return self._normalise(image), self._labels[position]

        return tf.data.Dataset.range(count).shuffle(count, seed=seed).map(draw, num_parallel_calls=tf.data.AUTOTUNE)

    def _from_the_stream(self, seed: int) -> tf.data.Dataset:
        """Return the epoch's images and labels, drawn by the shared stream."""

        def take(position: tf.Tensor, corner: tf.Tensor, mirrored: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = self._images[position]
            crop = tf.slice(self._padded(image), [corner[0], corner[1], 0], tf.shape(image, tf.int64))
            return self._normalise(tf.where(mirrored, crop[:, ::-1], crop)), self._labels[position]

        drawn = stream.draw(seed, len(self._labels), self._settings)
        return tf.data.Dataset.from_tensor_slices(tuple(drawn)).map(take, num_parallel_calls=tf.data.AUTOTUNE)

    def _augment(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        crop = tf.image.stateless_random_crop(self._padded(image), tf.shape(image), seed)
        return tf.image.stateless_random_flip_left_right(crop, seed) if self._settings.augmentation.flip else crop

    def _padded(self, image: tf.Tensor) -> tf.Tensor:
        padding = self._settings.augmentation.crop_padding
        return tf.pad(image, [[padding, padding], [padding, padding], [0, 0]])


def evaluation_dataset(split: Split, store: Store, batch_size: int) -> tf.data.Dataset:
    """Return the batches of a val or test split: in order, with its incomplete last batch."""
    images, labels = _load(split)
    normalise = _normaliser(store)
    return (
        tf.data.Dataset.range(len(labels))
        .map(lambda position: (normalise(images[position]), labels[position]), num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def _load(split: Split) -> tuple[tf.Tensor, tf.Tensor]:
    """Copy a split from the store into tensors on the host, where `tf.data` runs."""
    with tf.device("CPU:0"):
        images = tf.convert_to_tensor(split.images[split.indices])
        return images, tf.convert_to_tensor(split.labels[split.indices].astype(np.int64))


def _normaliser(store: Store):  # noqa: ANN202  (a function of a tensor)
    """Return a function that scales and normalises an image, bit for bit as torchvision does in float32.

    The constants are made outside the graph: inside it, the division could be optimised to a multiplication, which
    rounds differently. Source: torchvision, `to_dtype` (which multiplies by 1 / 255) and `normalize`.
    """
    scale, mean, std = (tf.constant(values, tf.float32) for values in (1 / 255, store.mean, store.std))
    return lambda image: (tf.cast(image, tf.float32) * scale - mean) / std
