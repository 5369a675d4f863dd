"""Keras' input pipeline: `tf.data`, with its own stateless random operations or the stream that both frameworks share.

A crop or a flip is a function of the epoch's seed and the image's index: results do not depend on parallel maps. Each
image has draws of its own; a batch is cut and normalised as a whole, by the host or on the device that trains.
"""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from lib.data import stream
from lib.data.store import Split, Store
from lib.study.settings import Settings

Batch = tuple[tf.Tensor, tf.Tensor]


class TrainingPipeline:
    """A train split in memory, and its batches for each epoch."""

    def __init__(self, split: Split, store: Store, settings: Settings, steps: int) -> None:
        self._settings, self._steps = settings, steps
        with tf.device(None if settings.batches_on == "device" else "CPU:0"):
            self._images, self._labels = tf.convert_to_tensor(split.images[split.indices]), _labels(split)
            self._normalise = _normaliser(store)
            self._cut = tf.function(self._eager_cut)

    def epoch(self, seed: int) -> Iterable[Batch]:
        """Return the epoch's batches: images `(B, H, W, C)` in float32 and labels `(B,)`."""
        draws = self._from_the_stream(seed) if self._settings.pairing.shared else self._from_tensorflow(seed)
        if self._settings.batches_on == "device":
            return (self._cut(*batch) for batch in draws.prefetch(tf.data.AUTOTUNE))
        return draws.map(self._eager_cut, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _from_tensorflow(self, seed: int) -> tf.data.Dataset:
        """Return the batches' positions, corners and flips, drawn by TensorFlow.

        A buffer of all positions is needed to shuffle fully. The draws are those of `tf.image`'s functions
        `stateless_random_crop` and `stateless_random_flip_left_right`, without their images.
        """
        count, augmentation = len(self._labels), self._settings.augmentation

        def draw(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            own = tf.stack([tf.constant(seed, tf.int64), position])
            corner = tf.random.stateless_uniform([3], own, maxval=tf.int32.max, dtype=tf.int32)[:2]
            mirrored = tf.random.stateless_uniform([], own) < 0.5
            return corner % (2 * augmentation.crop_padding + 1), mirrored & augmentation.flip

        def draw_all(positions: tf.Tensor) -> tuple[tf.Tensor, ...]:
            drawn = tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.bool)
            # Half the time of a map over single images.
            return positions, *tf.map_fn(draw, positions, fn_output_signature=drawn)

        def shuffle(_: tf.Tensor) -> tf.data.Dataset:
            tf.random.set_seed(seed)  # of this function's graph: to set TensorFlow's own would drop all kernels
            return tf.data.Dataset.range(count).shuffle(count, seed=seed)

        positions = tf.data.Dataset.from_tensors(0).flat_map(shuffle)
        batches = positions.batch(self._settings.batch_size, drop_remainder=True).take(self._steps)
        return batches.map(draw_all, num_parallel_calls=tf.data.AUTOTUNE)

    def _from_the_stream(self, seed: int) -> tf.data.Dataset:
        """Return the batches' positions, corners and flips, drawn by the shared stream."""
        order, corners, mirrored = stream.draw(seed, len(self._labels), self._settings)
        steps, batch = self._steps, self._settings.batch_size
        epoch = (part[: steps * batch].reshape(steps, batch, *part.shape[1:]) for part in (order, corners, mirrored))
        return tf.data.Dataset.from_tensor_slices(tuple(epoch))

    def _eager_cut(self, positions: tf.Tensor, corners: tf.Tensor, mirrored: tf.Tensor) -> Batch:
        """Cut each image (B,) out of its padded self, from its corner (B, 2) on, mirror it, and normalise."""
        padding = self._settings.augmentation.crop_padding
        height, width, channels = self._images.shape[1:]
        sides = [padding, padding]
        padded = tf.pad(tf.gather(self._images, positions), [[0, 0], sides, sides, [0, 0]])
        column = tf.where(mirrored[:, None], tf.range(width)[::-1], tf.range(width))
        first = tf.cast(corners, tf.int32)
        rows = tf.range(tf.size(positions))[:, None] * (height + 2 * padding) + first[:, :1] + tf.range(height)
        pixels = rows[:, :, None] * (width + 2 * padding) + (first[:, 1:] + column)[:, None, :]
        crops = tf.gather(tf.reshape(padded, [-1, channels]), pixels)
        return self._normalise(crops), tf.gather(self._labels, positions)


def evaluation_dataset(split: Split, store: Store, batch_size: int) -> tf.data.Dataset:
    """Return the batches of a val or test split: in order, with its incomplete last batch."""
    with tf.device("CPU:0"):  # where `tf.data` runs
        images, labels = tf.convert_to_tensor(split.images[split.indices]), _labels(split)
    normalise = _normaliser(store)
    return (
        tf.data.Dataset.range(len(labels))
        .batch(batch_size)
        .map(lambda places: (normalise(tf.gather(images, places)), tf.gather(labels, places)), tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _labels(split: Split) -> tf.Tensor:
    return tf.convert_to_tensor(split.labels[split.indices].astype(np.int64))


def _normaliser(store: Store):  # noqa: ANN202  (a function of a tensor)
    """Return a function that scales and normalises images, bit for bit as torchvision does in float32.

    The constants are made outside the graph: inside it, the division could be optimised to a multiplication, which
    rounds differently. Source: torchvision, `to_dtype` (which multiplies by 1 / 255) and `normalize`.
    """
    scale, mean, std = (tf.constant(values, tf.float32) for values in (1 / 255, store.mean, store.std))
    return lambda image: (tf.cast(image, tf.float32) * scale - mean) / std
