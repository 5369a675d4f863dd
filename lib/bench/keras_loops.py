"""Training loops in Keras that the project's own is timed against: a bare one, and `model.fit`.

Both train the cell's network with its optimizer, in its precision and with its determinism.
"""

import time
from collections.abc import Callable
from itertools import cycle, islice

import keras
import numpy as np
import tensorflow as tf

from lib.bench.loops import Loop
from lib.data.store import Store
from lib.keras.kernels import configure
from lib.keras.learner import KerasLearner
from lib.keras.networks import build
from lib.keras.optimizers import optimizer
from lib.study.cells import Cell


def bare(cell: Cell, store: Store) -> Loop:
    """Return the loop that does nothing but steps, traced once, on four batches that lie on the device."""
    network, rule = _training(cell, store)
    scaled = isinstance(rule, keras.optimizers.LossScaleOptimizer)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = tf.cast(network(images, training=True), tf.float32)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            loss = rule.scale_loss(loss) if scaled else loss
        rule.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    random, size = np.random.default_rng(0), cell.settings.batch_size
    batches = [
        (
            tf.constant(random.normal(size=(size, *store.dataset.shape)), tf.float32),
            tf.constant(random.integers(0, store.dataset.classes, size), tf.int64),
        )
        for _ in range(4)
    ]

    def loop(warm: int, steps: int) -> float:
        for batch in islice(cycle(batches), warm):
            step(*batch)
        tf.test.experimental.sync_devices()
        start = time.perf_counter()
        for batch in islice(cycle(batches), steps):
            step(*batch)
        tf.test.experimental.sync_devices()
        return time.perf_counter() - start

    return loop


class Clock(keras.callbacks.Callback):
    """The seconds of `fit` from the beginning of the first step that counts to the end of the training."""

    def __init__(self, warm: int) -> None:
        super().__init__()
        self._warm = warm

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Start after so many steps."""
        if batch == self._warm:
            tf.test.experimental.sync_devices()
            self._start = time.perf_counter()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Stop after the device's last step."""
        tf.test.experimental.sync_devices()
        self.seconds = time.perf_counter() - self._start


def fit(cell: Cell, store: Store) -> Loop:
    """Return the loop of `model.fit`, compiled with the accuracy as its metric, on the pipeline of a user."""
    network, rule = _training(cell, store)
    network.compile(rule, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    images = user_dataset(cell, store)

    def loop(warm: int, steps: int) -> float:
        clock = Clock(warm)
        network.fit(images, epochs=1, steps_per_epoch=warm + steps, callbacks=[clock], verbose=0)
        return clock.seconds

    return loop


def user_dataset(cell: Cell, store: Store) -> tf.data.Dataset:
    """Return the pipeline that a user would write with `tf.data` and `tf.image`, image by image."""
    split, augmentation = store.split("train"), cell.settings.augmentation
    pixels, labels = split.images[split.indices], split.labels[split.indices].astype(np.int64)
    mean, std = (tf.constant(values, tf.float32) for values in (store.mean, store.std))
    sides = [augmentation.crop_padding] * 2

    def augment(image: tf.Tensor, label: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        padded = tf.pad(image, [sides, sides, [0, 0]])
        crop = tf.image.stateless_random_crop(padded, tf.shape(image), [seed, 0])
        crop = tf.image.stateless_random_flip_left_right(crop, [seed, 1]) if augmentation.flip else crop
        return (tf.cast(crop, tf.float32) / 255 - mean) / std, label

    with tf.device("CPU:0"):
        images = tf.data.Dataset.from_tensor_slices((pixels, labels)).shuffle(len(labels)).repeat()
        seeded = tf.data.Dataset.zip(images, tf.data.Dataset.random(cell.seed))
        augmented = seeded.map(lambda image, seed: augment(*image, seed), num_parallel_calls=tf.data.AUTOTUNE)
        return augmented.batch(cell.settings.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _training(cell: Cell, store: Store) -> tuple[keras.Model, keras.optimizers.Optimizer]:
    """Return the cell's network and its optimizer, in its precision."""
    configure(cell.seed, cell.settings.tf32, cell.settings.execution)
    kind = KerasLearner.amp_types["gpu" if tf.config.list_physical_devices("GPU") else "cpu"]
    amp = cell.precision == "amp"
    keras.config.set_dtype_policy(f"mixed_{kind}" if amp else "float32")
    dataset = store.dataset
    network = build(cell.model, dataset.shape, dataset.classes, cell.conventions, cell.settings.network)
    rule = optimizer(cell.settings.optimizer, cell.conventions)
    return network, keras.optimizers.LossScaleOptimizer(rule) if amp and kind == "float16" else rule


LOOPS: dict[str, Callable[[Cell, Store], Loop]] = {"bare": bare, "fit": fit}
"""Each loop by its name."""
