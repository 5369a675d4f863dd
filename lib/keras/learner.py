"""The Keras learner, driven by the training protocol.

The step is a `tf.GradientTape` in a `tf.function` and not `model.fit`, so that accumulation and the learning rate are
those of PyTorch.
"""

import gc
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from lib import environment
from lib.data.store import Store
from lib.keras.data import TrainingPipeline, evaluation_dataset
from lib.keras.kernels import configure
from lib.keras.networks import build, parameters
from lib.keras.optimizers import optimizer
from lib.keras.weights import tensors
from lib.runs.logits import Predictions
from lib.study.cells import Cell
from lib.study.settings import Settings
from lib.training import first_weights as initial
from lib.training.learner import EpochSums, evaluation_batch, evaluation_images, steps_per_epoch, the_network_fits
from lib.training.seeds import epoch_seed


class KerasLearner:
    """A model with its optimizer, loss scale and datasets, for one cell."""

    weights_suffix = ".weights.h5"
    state_suffix = ".npz"
    multiply_adds = None
    out_of_memory = tf.errors.ResourceExhaustedError
    amp_types: ClassVar = {"gpu": "float16", "cpu": "bfloat16"}

    def __init__(self, cell: Cell, store: Store) -> None:
        self._cell, self._store = cell, store
        self._gpus = tf.config.list_physical_devices("GPU")
        environment.require_gpu(bool(self._gpus))
        self.classes = store.dataset.classes
        self._dtype = "float64" if cell.precision == "fp64" else "float32"
        self._amp = cell.precision == "amp"
        self._amp_type = self.amp_types["gpu" if self._gpus else "cpu"]
        self._begin(cell.settings)

    def _begin(self, settings: Settings) -> None:
        """Seed everything, then make the network, its optimizer and its datasets."""
        self._settings = settings
        configure(self._cell.seed, settings.tf32, settings.execution)
        keras.config.set_dtype_policy(f"mixed_{self._amp_type}" if self._amp else self._dtype)
        self.model = self._network()
        self.parameters = parameters(self.model)
        self._make_optimizer()
        self._loss_sum = tf.Variable(0.0, dtype=tf.float64)
        self._correct = tf.Variable(0, dtype=tf.int64)
        self._updates_taken = 0
        self._update = self._logits = None
        self._compilation = "not yet"
        self._load_data()

    def _network(self) -> keras.Model:
        """Build the network with the cell's first weights."""
        cell = self._cell
        with the_network_fits(cell, self.out_of_memory):
            shape, options = self._store.dataset.shape, self._settings.network
            network = build(cell.model, shape, self.classes, cell.conventions, options)
        if initial.drawn(cell):
            _set_weights(network, cell)
        return network

    def _make_optimizer(self) -> None:
        """Make the optimizer with its buffers, and a loss scale around it in float16."""
        self._inner = optimizer(self._settings.optimizer, self._cell.conventions, self._dtype)
        scaled = self._amp and self._amp_type == "float16"
        self._optimizer = keras.optimizers.LossScaleOptimizer(self._inner) if scaled else self._inner
        with the_network_fits(self._cell, self.out_of_memory):
            self._optimizer.build(self.model.trainable_variables)

    def _load_data(self) -> None:
        settings, store = self._settings, self._store
        train = store.split("train", settings.limits.train_samples)
        self.steps_per_epoch = steps_per_epoch(settings, len(train.indices))
        self._train = TrainingPipeline(train, store, settings, self.steps_per_epoch)
        images, batch = evaluation_images(settings), evaluation_batch(settings)
        self._evaluation = {
            name: evaluation_dataset(store.split(name, images), store, batch) for name in ("val", "test")
        }

    def _trace_update(self) -> None:
        """Trace the update, once."""
        if self._update is None:
            batch = self._settings.batch_size
            images = tf.TensorSpec((batch, *self._store.dataset.shape), tf.float32)
            labels = tf.TensorSpec((batch,), tf.int64)
            self._update = tf.function(self._eager_update).get_concrete_function(images, labels)
            if self._settings.compile:
                self._compile(tf.zeros(images.shape), tf.zeros(labels.shape, tf.int64))

    def _compile(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """Compile the update by a step on these images, or go on with it as it is where that does not work, and say so.

        All variables are as before. The first step compiles, and an epoch's time must not include that.
        """
        state = [*self._variables(), self._loss_sum, self._correct]
        update, before = tf.function(self._eager_update, jit_compile=True), [one.numpy() for one in state]
        try:
            update(images, labels)
        except Exception as problem:  # a compiler raises almost anything
            reason = f"{type(problem).__name__}: {str(problem).strip().partition(chr(10))[0]}"
            self._compilation = f"failed ({reason})"
            print(f"{self._cell.name}: XLA does not work here: {self._compilation}: not compiled", flush=True)
        else:
            self._update, self._compilation = update, "on"
        for variable, value in zip(state, before, strict=True):
            variable.assign(value)

    def _trace_logits(self) -> None:
        """Trace the prediction, once."""
        if self._logits is None:
            images = tf.TensorSpec((None, *self._store.dataset.shape), tf.float32)
            self._logits = tf.function(self._eager_logits).get_concrete_function(images)

    def restart(self, accumulation_steps: int) -> None:
        """Begin again from the cell's first weights, with this number of micro-batches per update."""
        self.model = self._inner = self._optimizer = self._update = self._logits = None  # their memory is needed
        self._train = self._evaluation = None
        gc.collect()  # a Keras model has reference cycles
        if self._gpus:
            tf.config.experimental.reset_memory_stats("GPU:0")
        self._begin(self._settings.model_copy(update={"accumulation_steps": accumulation_steps}))

    def reseed(self, seed: int, epoch: int) -> None:
        """Seed the epoch's order, crops and flips; the generators of layers belong to the model's state.

        TensorFlow's own seed stays: to set it drops every kernel, and the next step of each function makes them anew.
        """
        self._epoch_seed = epoch_seed(seed, epoch)

    def batches(self) -> Iterable[tuple[tf.Tensor, tf.Tensor]]:
        """Return the epoch's batches: images `(B, H, W, C)` and labels `(B,)`, still on the host.

        The update is traced before, so that an epoch's time does not include it.
        """
        self._trace_update()
        return self._train.epoch(self._epoch_seed)

    def set_learning_rate(self, rate: float) -> None:
        """Set the rate of the next step."""
        self._inner.learning_rate.assign(rate)

    def learning_rate(self) -> float:
        """Return the rate that the optimizer holds: in float64 in a run of that precision, else in float32."""
        return float(self._inner.learning_rate.numpy())

    def step(self, batch: tuple[tf.Tensor, tf.Tensor], learning_rate: float) -> None:
        """Make one update from a batch, in as many micro-batches as the settings ask for."""
        self._trace_update()
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
        """Read back the epoch's sums, and start again from zero."""
        updates = int(self._inner.iterations.numpy())  # without the steps that a loss scale skipped
        sums = EpochSums(float(self._loss_sum.numpy()), int(self._correct.numpy()), updates - self._updates_taken)
        self._loss_sum.assign(0.0)
        self._correct.assign(0)
        self._updates_taken = updates
        return sums

    def synchronize(self) -> None:
        """Wait until the device has done all its work."""
        tf.test.experimental.sync_devices()

    def _eager_logits(self, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.model(images, training=False), self._dtype)

    def predict(self, split: str) -> Predictions:
        """Return the logits and labels of `val` or `test`."""
        self._trace_logits()
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
        self._updates_taken = int(self._inner.iterations.numpy())

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
            **({"compiled": self._compilation} if self._settings.compile else {}),
        }


def _set_weights(model: keras.Model, cell: Cell) -> None:
    """Replace Keras' own first weights by the cell's."""
    found = {tensor.name: tensor for tensor in tensors(model)}
    for name, values in initial.weights(cell, {name: tensor.shape for name, tensor in found.items()}).items():
        found[name].write(values)
