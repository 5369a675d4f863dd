"""The Keras learner: what the training protocol drives.

The step is a `tf.GradientTape` in a `tf.function`, not `model.fit`, so that it accumulates and takes its learning
rate exactly as PyTorch's does.
"""

import gc
import resource
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from lib import environment
from lib.data.store import Store
from lib.keras.data import TrainingPipeline, evaluation_dataset
from lib.keras.models import build, parameters
from lib.keras.optimizer import sgd
from lib.keras.weights import tensors
from lib.study.conventions import followed
from lib.study.params import Cell
from lib.training import first_weights as initial
from lib.training.protocol import (
    EpochSums,
    Predictions,
    evaluation_batch,
    evaluation_images,
    steps_per_epoch,
    the_network_fits,
)
from lib.training.seeds import epoch_seed


class KerasLearner:
    """A model with its optimizer, loss scale and datasets, for one cell."""

    weights_suffix = ".weights.h5"
    state_suffix = ".npz"
    out_of_memory = tf.errors.ResourceExhaustedError
    amp_types: ClassVar = {"gpu": "float16", "cpu": "bfloat16"}

    def __init__(self, cell: Cell, store: Store) -> None:
        self._cell, self._store = cell, store
        settings = self._settings = cell.settings
        self._gpus = tf.config.list_physical_devices("GPU")
        environment.require_gpu(bool(self._gpus))
        make_deterministic(cell.seed, settings.tf32)
        self._amp_type = self.amp_types["gpu" if self._gpus else "cpu"]
        self._amp = cell.precision == "amp"
        self.classes = store.dataset.classes
        self._dtype = "float64" if cell.precision == "fp64" else "float32"
        keras.config.set_dtype_policy(f"mixed_{self._amp_type}" if self._amp else self._dtype)
        conventions = followed("keras", settings.align, settings.reference)
        with the_network_fits(cell, self.out_of_memory):
            self.model = build(cell.model, store.dataset.size, self.classes, conventions)
        self.parameters = parameters(self.model)
        if initial.drawn(cell):
            _set_weights(self.model, cell)
        self._sgd = sgd(settings, conventions, self._dtype)
        scaled = self._amp and self._amp_type == "float16"
        self._optimizer = keras.optimizers.LossScaleOptimizer(self._sgd) if scaled else self._sgd
        with the_network_fits(cell, self.out_of_memory):
            self._optimizer.build(self.model.trainable_variables)
        self._loss_sum = tf.Variable(0.0, dtype=tf.float64)
        self._correct = tf.Variable(0, dtype=tf.int64)
        self._updates_taken = 0

        train = store.split("train", settings.train_samples)
        self.steps_per_epoch = steps_per_epoch(settings, len(train.indices))
        self._train = TrainingPipeline(train, store, settings, self.steps_per_epoch)
        self._evaluation = {
            name: evaluation_dataset(store.split(name, evaluation_images(settings)), store, evaluation_batch(settings))
            for name in ("val", "test")
        }

    @cached_property
    def _update(self) -> Callable[[tf.Tensor, tf.Tensor], None]:
        size = self._store.dataset.size
        images = tf.TensorSpec((self._settings.batch_size, size, size, 3), tf.float32)
        labels = tf.TensorSpec((self._settings.batch_size,), tf.int64)
        return tf.function(self._eager_update).get_concrete_function(images, labels)

    @cached_property
    def _logits(self) -> Callable[[tf.Tensor], tf.Tensor]:
        size = self._store.dataset.size
        images = tf.TensorSpec((None, size, size, 3), tf.float32)
        return tf.function(self._eager_logits).get_concrete_function(images)

    def restart(self, accumulation_steps: int) -> None:
        """Begin again from the cell's first weights, with so many micro-batches an update."""
        settings = self._settings.model_copy(update={"accumulation_steps": accumulation_steps})
        cell, store = self._cell.model_copy(update={"settings": settings}), self._store
        vars(self).clear()
        gc.collect()  # a Keras model refers to itself in circles: its memory would be held while the next is built
        if tf.config.list_physical_devices("GPU"):
            tf.config.experimental.reset_memory_stats("GPU:0")
        self.__init__(cell, store)

    def reseed(self, seed: int, epoch: int) -> None:
        """Seed the epoch's order, crops and flips; the generators of layers are part of the model's state."""
        self._epoch_seed = epoch_seed(seed, epoch)
        keras.utils.set_random_seed(self._epoch_seed)

    def batches(self) -> Iterable[tuple[tf.Tensor, tf.Tensor]]:
        """Return the epoch's batches: images `(B, H, W, 3)` and labels `(B,)`, still on the host.

        The step is traced before the first of them: tracing is not training, and stays out of the epoch's time.
        """
        _ = self._update
        return self._train.epoch(self._epoch_seed)

    def set_learning_rate(self, rate: float) -> None:
        """Set the rate of the next step; a variable's value, so nothing is traced again."""
        self._sgd.learning_rate.assign(rate)

    def learning_rate(self) -> float:
        """Return the rate that the optimizer holds: in float64 in a run of that precision, else in float32."""
        return float(self._sgd.learning_rate.numpy())

    def step(self, batch: tuple[tf.Tensor, tf.Tensor], learning_rate: float) -> None:
        """Make one update from a batch, in as many micro-batches as the settings ask for."""
        self.set_learning_rate(learning_rate)
        self._update(*batch)

    def _eager_update(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        parts = self._settings.accumulation_steps
        if parts == 1:
            gradients = self._gradients(images, labels)
        else:
            micro = self._settings.batch_size // parts
            gradients = [tf.zeros_like(variable) for variable in self.model.trainable_variables]
            for part in tf.range(parts):
                rows = slice(part * micro, (part + 1) * micro)
                more = self._gradients(images[rows], labels[rows])
                gradients = [total + share for total, share in zip(gradients, more, strict=True)]
        self._optimizer.apply(gradients, self.model.trainable_variables)

    def _gradients(self, images: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        """Return a micro-batch's share of the (scaled) gradient, and add its losses and hits to the epoch's sums."""
        with tf.GradientTape() as tape:
            logits = tf.cast(self.model(images, training=True), self._dtype)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            objective = tf.reduce_mean(losses) / self._settings.accumulation_steps
            objective = self._optimizer.scale_loss(objective)
        self._loss_sum.assign_add(tf.cast(tf.reduce_sum(losses), tf.float64))
        hits = tf.equal(tf.argmax(logits, axis=1), labels)
        self._correct.assign_add(tf.math.count_nonzero(hits))
        return tape.gradient(objective, self.model.trainable_variables)

    def take_sums(self) -> EpochSums:
        """Read back the epoch's sums, and start again from zero; a skipped step does not advance `iterations`."""
        updates = int(self._sgd.iterations.numpy())
        sums = EpochSums(float(self._loss_sum.numpy()), int(self._correct.numpy()), updates - self._updates_taken)
        self._loss_sum.assign(0.0)
        self._correct.assign(0)
        self._updates_taken = updates
        return sums

    def synchronize(self) -> None:
        """Wait until the device has done all that it was given."""
        tf.test.experimental.sync_devices()

    def _eager_logits(self, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.model(images, training=False), self._dtype)

    def predict(self, split: str) -> Predictions:
        """Return the logits and labels of `val` or `test`."""
        pairs = [(self._logits(images), labels) for images, labels in self._evaluation[split]]
        logits, labels = zip(*pairs, strict=True)
        return Predictions(tf.concat(logits, axis=0).numpy(), tf.concat(labels, axis=0).numpy())

    def save_weights(self, path: Path) -> None:
        """Write the model's weights and buffers as Keras does, in HDF5."""
        self.model.save_weights(path)

    def load_weights(self, path: Path) -> None:
        """Read what `save_weights` wrote."""
        self.model.load_weights(path)

    def save_state(self, path: Path) -> None:
        """Write every variable of the model, the optimizer and the loss scale, in their order."""
        np.savez(path, *(variable.numpy() for variable in self._variables()))

    def load_state(self, path: Path) -> None:
        """Read what `save_state` wrote."""
        with np.load(path) as state:
            for variable, value in zip(self._variables(), state.values(), strict=True):
                variable.assign(value)
        self._updates_taken = int(self._sgd.iterations.numpy())

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self._optimizer.variables]

    def peak_memory_mb(self) -> float:
        """Return the GPU's peak of allocated memory in MiB, or without a GPU the process's peak of resident memory."""
        if self._gpus:
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def describe(self) -> dict[str, str]:
        """Return the device, and the CUDA and cuDNN that this process has loaded."""
        details = tf.config.experimental.get_device_details(self._gpus[0]) if self._gpus else {}
        return {
            "device": details.get("device_name", "GPU") if self._gpus else "cpu",
            **environment.loaded_libraries(),
            "amp_type": self._amp_type if self._amp else "off",
        }


def _set_weights(model: keras.Model, cell: Cell) -> None:
    """Give the model the cell's first weights, which are known by their names and shapes in PyTorch."""
    found = {tensor.name: tensor for tensor in tensors(model)}
    for name, values in initial.weights(cell, {name: tensor.shape for name, tensor in found.items()}).items():
        found[name].write(values)


def make_deterministic(seed: int, tf32: bool) -> None:
    """Seed every generator and allow only kernels that give the same numbers each time.

    Source: TensorFlow's API documentation, `enable_op_determinism` and `enable_tensor_float_32_execution`.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
