"""Both frameworks' learners of one network, side by side, and the numbers that the rungs read from them.

The learners are those of the sweep, with their own pipelines, optimizers and steps.
"""

import tempfile
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import tensorflow as tf
import torch
from torch.nn import functional

from lib.data import generated
from lib.keras.learner import KerasLearner
from lib.keras.weights import tensors
from lib.parity import weights
from lib.parity.architecture import keras_output
from lib.parity.inputs import Learner
from lib.pytorch.learner import PyTorchLearner
from lib.study import models
from lib.study.cells import Cell, Precision
from lib.study.conventions import Framework, Switch
from lib.study.kinds import SGD, Cosine
from lib.study.settings import Augmentation, Pairing, Settings

FRAMEWORKS: tuple[Framework, ...] = get_args(Framework)
BATCH, CLASSES = 4, 10
RATES = (2**-12, 2**-13, 2**-12, 2**-14, 2**-13)
"""The learning rates of a short training: they change, as in a schedule, and are exact in float32.

They are small: at a rate of 0.01 ResNet-50 amplifies a rounding error a thousandfold in a single step.
"""

NOISE_ULPS = 4
"""The largest change of a weight by noise, in units of its last place in float32."""

Values = dict[str, np.ndarray]
Stages = Mapping[str, tuple[str, str]]


class Twins:
    """One network in both frameworks on generated images, with some switches aligned and the pairing shared.

    Aligned, both follow the reference's conventions. `first` are the first weights of each learner. `common` are the
    weights that the rungs compute with: PyTorch's, moved away from the special first values of batch normalisation and
    layer scale.
    """

    def __init__(
        self, model: str, size: int, precision: Precision, aligned: Collection[Switch], reference: Framework = "pytorch"
    ) -> None:
        self.model, self.size, self.precision = model, size, precision
        store = self.store = generated.store(size, CLASSES, per_class=4)
        self.cell = _cell(model, precision, aligned, reference)
        self._folder = tempfile.TemporaryDirectory()
        self.learners: dict[Framework, Learner] = {}
        for framework, make in (("keras", KerasLearner), ("pytorch", PyTorchLearner)):
            self.learners[framework] = make(self.cell.model_copy(update={"framework": framework}), store)
            self.learners[framework].save_state(self._fresh(framework))
        self.first = {framework: weights.read(learner.model) for framework, learner in self.learners.items()}
        self.common = weights.perturbed(self.first["pytorch"])

    def _fresh(self, framework: Framework) -> Path:
        return Path(self._folder.name) / f"{framework}{self.learners[framework].state_suffix}"

    def start(self, framework: Framework, noise: int | None = None) -> Learner:
        """Return a learner with a fresh optimizer at the common weights; `noise` seeds rounding errors on them."""
        learner = self.learners[framework]
        learner.load_state(self._fresh(framework))
        weights.carry(self.common if noise is None else _shaken(self.common, noise), learner.model)
        return learner

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Return one batch of images `(BATCH, H, W, C)`, normal numbers in float32, and labels `(BATCH,)`."""
        random = np.random.default_rng(self.size)
        images = random.normal(size=(BATCH, *self.store.dataset.shape)).astype(np.float32)
        return images, random.integers(0, CLASSES, BATCH)

    def maps(self, framework: Framework) -> Values:
        """Return the map at the end of every stage, channels last, and the logits, in evaluation."""
        model, (images, _) = self.start(framework).model, self.images()
        read, stages = _keras_maps if framework == "keras" else _pytorch_maps, models.find(self.model).twin.stages
        return read(model, images.astype(self._type()), stages)

    def gradients(self, framework: Framework) -> Values:
        """Return the gradient of the mean loss for every parameter, by its name and in its layout in PyTorch."""
        model, (images, labels) = self.start(framework).model, self.images()
        read = _keras_gradients if framework == "keras" else _pytorch_gradients
        return read(model, images.astype(self._type()), labels)

    def batches(self, framework: Framework) -> Iterable:
        """Return the training batches of a learner's first epoch, in its framework's tensors."""
        learner = self.learners[framework]
        learner.reseed(0, 1)
        return learner.batches()

    def train(self, framework: Framework, steps: int, noise: int | None = None) -> list[float]:
        """Make some steps, on the learner's own batches of the shared stream; return the mean loss of each."""
        learner, losses = self.start(framework, noise), []
        for batch, rate in zip(self.batches(framework), RATES[:steps], strict=False):
            learner.step(batch, rate)
            losses.append(learner.take_sums().loss / BATCH)
        return losses

    def weights(self, framework: Framework) -> Values:
        """Return the weights and buffers as they are now."""
        return weights.read(self.learners[framework].model)

    def _type(self) -> str:
        return "float64" if self.precision == "fp64" else "float32"


@lru_cache(maxsize=3)
def twins(model: str, size: int, precision: Precision, aligned: tuple[Switch, ...], reference: Framework) -> Twins:
    """Return the twins, built once for all rungs of one network."""
    return Twins(model, size, precision, aligned, reference)


def _cell(model: str, precision: Precision, aligned: Collection[Switch], reference: Framework) -> Cell:
    settings = Settings(
        epochs=1,
        batch_size=BATCH,
        accumulation_steps=1,
        optimizer=SGD(name="sgd", learning_rate=RATES[0], momentum=0.9, nesterov=True, weight_decay=1e-4),
        schedule=Cosine(name="cosine"),
        augmentation=Augmentation(crop_padding=4, flip=True),
        pairing=Pairing(shared=True, align=tuple(aligned), reference=reference),
        tf32=False,
        num_workers=0,  # a worker must not be forked from a process with TensorFlow's threads
    )
    # The dataset's name is a label only: the images are generated.
    return Cell(framework=reference, dataset="cifar10", model=model, precision=precision, seed=0, settings=settings)


def _shaken(values: Values, seed: int) -> Values:
    """Move every number by up to some units in its last place in float32."""
    random = np.random.default_rng(seed)
    return {
        name: value + NOISE_ULPS * np.spacing(np.abs(value).astype(np.float32)) * random.uniform(-1, 1, value.shape)
        for name, value in values.items()
    }


def _pytorch_maps(model: torch.nn.Module, images: np.ndarray, stages: Stages) -> Values:
    found = {}

    def keep(stage: str) -> object:
        return lambda _module, _inputs, output: found.__setitem__(
            stage, output.numpy(force=True).transpose(0, 2, 3, 1).copy()
        )

    hooks = [model.get_submodule(module).register_forward_hook(keep(stage)) for stage, (module, _) in stages.items()]
    with torch.inference_mode():
        logits = model.eval()(_on_device(model, images.transpose(0, 3, 1, 2)))
    for hook in hooks:
        hook.remove()
    return found | {"logits": logits.numpy(force=True)}


def _on_device(model: torch.nn.Module, values: np.ndarray) -> torch.Tensor:
    """Return values as a tensor on the device of the model."""
    return torch.from_numpy(values.copy()).to(next(model.parameters()).device)


def _keras_maps(model: keras.Model, images: np.ndarray, stages: Stages) -> Values:
    outputs = {stage: keras_output(model, layer) for stage, (_, layer) in stages.items()}
    found = keras.Model(model.input, outputs | {"logits": model.output})(images, training=False)
    return {stage: value.numpy() for stage, value in found.items()}


def _pytorch_gradients(model: torch.nn.Module, images: np.ndarray, labels: np.ndarray) -> Values:
    torch.manual_seed(0)
    model.train().zero_grad()
    logits = model(_on_device(model, images.transpose(0, 3, 1, 2)))
    functional.cross_entropy(logits, _on_device(model, labels)).backward()
    return {name: parameter.grad.numpy(force=True).copy() for name, parameter in model.named_parameters()}


def _keras_gradients(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Values:
    places = [tensor for tensor in tensors(model) if tensor.variable.trainable]
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=True))
        objective = tf.reduce_mean(losses)
    gradients = tape.gradient(objective, [place.variable.value for place in places])
    return {place.name: place.in_pytorch(value.numpy()) for place, value in zip(places, gradients, strict=True)}
