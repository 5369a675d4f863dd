"""The interface between the training protocol and a framework, and what every learner computes alike."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lib.errors import OutOfMemory, ParameterError
from lib.runs.logits import Predictions
from lib.study.cells import Cell
from lib.study.settings import Settings


class EpochSums(NamedTuple):
    """An epoch's sums: the losses of its images, its hits, and the updates that no loss scale skipped."""

    loss: float
    correct: int
    updates: int


class Learner(Protocol):
    """A model, its optimizer and its input pipelines, for one cell."""

    weights_suffix: str
    state_suffix: str
    parameters: int
    multiply_adds: int | None
    classes: int
    steps_per_epoch: int
    out_of_memory: type[Exception]

    def restart(self, accumulation_steps: int) -> None:
        """Begin again from the cell's first weights, with this number of micro-batches an update."""

    def reseed(self, seed: int, epoch: int) -> None:
        """Seed every random number of the epoch."""

    def batches(self) -> Iterable[Any]:
        """Return the epoch's training batches: `steps_per_epoch` of them."""

    def step(self, batch: Any, learning_rate: float) -> None:
        """Make one update at this learning rate; losses and hits stay on the device."""

    def take_sums(self) -> EpochSums:
        """Read back the sums of the steps, and start again from zero."""

    def synchronize(self) -> None:
        """Wait until the device has finished its work."""

    def predict(self, split: str) -> Predictions:
        """Return the model's logits on `val` or `test`."""

    def layers(self, images: int) -> list[dict[str, Any]]:
        """Return the rows of `lib.runs.layers`, without their epoch, measured on this many val images.

        Keras has no such measurement: a study with it refuses Keras when it is loaded.
        """

    def save_weights(self, path: Path) -> None:
        """Write the model's weights and buffers."""

    def load_weights(self, path: Path) -> None:
        """Read what `save_weights` wrote."""

    def save_state(self, path: Path) -> None:
        """Write the state that the next epoch starts from: weights, buffers, optimizer, loss scale."""

    def load_state(self, path: Path) -> None:
        """Read what `save_state` wrote."""

    def peak_memory_mb(self) -> float | None:
        """Return the largest memory in use so far, in MiB: the GPU's where there is one, else the process's."""

    def describe(self) -> dict[str, str]:
        """Return the part of the environment that the framework knows: its device, CUDA and cuDNN."""


def steps_per_epoch(settings: Settings, images: int) -> int:
    """Return the number of updates in one epoch of this many images; the incomplete last batch is dropped.

    Raises:
        ParameterError: there are fewer images than in one batch.
    """
    if images < settings.batch_size:
        raise ParameterError(f"batch_size {settings.batch_size} is above the {images} training images")
    return min(images // settings.batch_size, settings.limits.max_steps_train or images)


def evaluation_images(settings: Settings) -> int | None:
    """Return the largest number of val and of test images that are evaluated; None where nothing limits them."""
    limits = settings.limits
    by_steps = limits.max_steps_test and limits.max_steps_test * settings.batch_size
    return min((limit for limit in (by_steps, limits.test_samples) if limit), default=None)


def evaluation_batch(settings: Settings) -> int:
    """Return the number of images evaluated at a time: a device's part of a micro-batch, which fits into its memory."""
    return settings.batch_size // settings.accumulation_steps // settings.devices


@contextmanager
def the_network_fits(cell: Cell, out_of_memory: type[Exception]) -> Iterator[None]:
    """Name the cause where memory runs out while the block builds or loads a network, before any micro-batch.

    Raises:
        OutOfMemory: memory ran out.
    """
    try:
        yield
    except out_of_memory:
        raise OutOfMemory(
            f"{cell.name}: out of memory before a step was made: the network alone does not fit; "
            "`nvidia-smi` says what else is on the GPU"
        ) from None
