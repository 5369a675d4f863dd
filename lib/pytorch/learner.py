"""The PyTorch learner, driven by the training protocol."""

import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from lib import environment
from lib.data.store import Store
from lib.errors import OutOfMemory
from lib.pytorch.compilation import compiled
from lib.pytorch.data import PlainImages, drawn_from, evaluation_loader, part_of, start_workers, training_loader
from lib.pytorch.devices import ranks, require_one_batch
from lib.pytorch.kernels import configure
from lib.pytorch.layers import measure
from lib.pytorch.mixing import hard, mixing
from lib.pytorch.networks import build, multiply_adds, parameters
from lib.pytorch.optimizers import average, optimizer
from lib.runs.logits import Predictions
from lib.study.cells import Cell
from lib.study.settings import Settings
from lib.training import first_weights as initial
from lib.training.learner import EpochSums, evaluation_batch, evaluation_images, steps_per_epoch, the_network_fits
from lib.training.seeds import epoch_seed


class PyTorchLearner:
    """A model with its optimizer, loss scale and loaders, for one cell.

    A worker of a run on several devices has its `rank`, above 0, and the port at which all ranks meet.
    """

    weights_suffix = ".pt"
    state_suffix = ".pt"
    out_of_memory = torch.OutOfMemoryError
    amp_types: ClassVar = {"cuda": torch.float16, "cpu": torch.bfloat16}

    def __init__(self, cell: Cell, store: Store, rank: int = 0, meeting: int | None = None) -> None:
        self._cell, self._store, self._rank = cell, store, rank
        self._device = torch.device(f"cuda:{rank}" if torch.cuda.is_available() else "cpu")
        environment.require_gpu(self._device.type == "cuda")
        self._ranks = ranks(cell, rank, meeting)
        self.classes = store.dataset.classes
        self._type = torch.float64 if cell.precision == "fp64" else torch.float32
        self._amp = cell.precision == "amp"
        self._amp_type = self.amp_types[self._device.type]
        self._begin(cell.settings)

    def _begin(self, settings: Settings) -> None:
        """Seed everything, then make the network, its optimizer and its loaders."""
        self._settings, self._peak_memory_mb = settings, 0.0
        self._format = torch.channels_last if settings.execution.channels_last else torch.preserve_format
        configure(self._cell.seed, settings.tf32, settings.execution)
        self.model = self._network()
        self.parameters = parameters(self.model)
        self.multiply_adds = multiply_adds(self.model, self._store.dataset.shape)
        fused = settings.execution.fused
        self._optimizer = optimizer(self.model, settings.optimizer, self._cell.conventions, fused)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._amp and self._amp_type == torch.float16)
        self._loss = nn.CrossEntropyLoss(label_smoothing=settings.regularisation.label_smoothing)
        self._mix, self._mixing_seeds = mixing(settings.mixing, self.classes), torch.Generator()
        self._average = average(self.model, settings.regularisation)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        self._correct = torch.zeros((), dtype=torch.int64, device=self._device)
        self._updates = 0
        self._optimizer.register_step_post_hook(self._after_update)
        self._load_data()
        self._forward, self._compilation = self.model, "off"
        if settings.compile:
            self._compile()

    def _compile(self) -> None:
        """Compile the training step's network, or go on with it as it is where that does not work, and say so."""
        batch = evaluation_batch(self._settings)
        height, width, channels = self._store.dataset.shape
        images = torch.zeros(batch, channels, height, width, device=self._device, dtype=self._type)
        with self._autocast():
            self._forward, self._compilation = compiled(self.model, images)
        if self._compilation != "on":
            print(f"{self._cell.name}: torch.compile does not work here: {self._compilation}: not compiled", flush=True)

    def _network(self) -> nn.Module:
        """Build the network with the cell's first weights, on the device and in the cell's type."""
        cell = self._cell
        with the_network_fits(cell, self.out_of_memory):
            shape, options = self._store.dataset.shape, self._settings.network
            network = build(cell.model, shape, self.classes, cell.conventions, options)
            network.to(self._device, self._type, memory_format=self._format)
        require_one_batch(network, cell)
        if initial.drawn(cell):
            _set_weights(network, cell)
        return network

    def _load_data(self) -> None:
        settings, store = self._settings, self._store
        train = store.split("train", settings.limits.train_samples)
        self.steps_per_epoch = steps_per_epoch(settings, len(train.indices))
        self._part = part_of(settings, self._rank)
        loaded = None if self._mix else self._part  # an image is mixed with one that may be another device's
        device = self._device if settings.batches_on == "device" else None
        self._train = training_loader(train, store, settings, self.steps_per_epoch, loaded, device)
        start_workers(self._train)
        images, batch = evaluation_images(settings), evaluation_batch(settings)
        self._evaluation = {
            name: evaluation_loader(store.split(name, images), store, batch, settings.num_workers)
            for name in ("val", "test")
        }

    def restart(self, accumulation_steps: int) -> None:
        """Begin again from the cell's first weights, with this number of micro-batches per update."""
        self.model = self._forward = self._average = self._optimizer = None  # their memory is needed
        self._train = self._evaluation = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self._begin(self._settings.model_copy(update={"accumulation_steps": accumulation_steps}))

    def reseed(self, seed: int, epoch: int) -> None:
        """Seed dropout and stochastic depth, each rank with its own seed, and the epoch's images, the same for all."""
        with self._ranks.told("reseed", seed, epoch):
            if self._settings.devices > 1:
                self._forward = self._ranks.trained(self.model)
            torch.manual_seed(epoch_seed(seed, epoch, self._rank))
            self._train.sampler.reseed(epoch_seed(seed, epoch))
            self._mixing_seeds.manual_seed(epoch_seed(seed, epoch))

    def batches(self) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """Return the epoch's batches: images `(B, C, H, W)` and labels `(B,)`, where the settings have them made."""
        return self._train

    def set_learning_rate(self, rate: float) -> None:
        """Set the rate of the next step."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def learning_rate(self) -> float:
        """Return the rate that the optimizer holds."""
        return self._optimizer.param_groups[0]["lr"]

    def step(self, batch: tuple[torch.Tensor, torch.Tensor], learning_rate: float) -> None:
        """Make one update from a batch, in as many micro-batches as the settings ask for."""
        with self._ranks.told("step", learning_rate):
            self._step(batch, learning_rate)

    def _step(self, batch: tuple[torch.Tensor, torch.Tensor], learning_rate: float) -> None:
        self.set_learning_rate(learning_rate)
        if not self.model.training:  # to tell all layers takes 0.3 ms of a ResNet-20
            self.model.train()
        self._optimizer.zero_grad(set_to_none=True)
        images, labels = self._on_device(batch[0]), batch[1].to(self._device, non_blocking=True)
        if self._mix:
            seed = torch.randint(2**31, (), generator=self._mixing_seeds).item()
            images, labels = drawn_from(seed, self._mix, images, labels)
            if self._settings.devices > 1:
                images, labels = images[self._part], labels[self._part]
        parts = self._settings.accumulation_steps
        for number, micro in enumerate(zip(images.chunk(parts), labels.chunk(parts), strict=True), start=1):
            with self._ranks.exchanging(last=number == parts):
                self._accumulate(*micro)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def _accumulate(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a micro-batch's share of the gradient, and its losses and hits to the epoch's sums."""
        with self._autocast():
            logits = self._forward(images)
            loss = self._loss(logits.to(self._type), labels)
        self._scaler.scale(loss / self._settings.accumulation_steps).backward()
        self._loss_sum += loss.detach() * len(labels)
        self._correct += (logits.argmax(1) == hard(labels)).sum()

    def _on_device(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(self._device, self._type, non_blocking=True, memory_format=self._format)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=self._amp_type, enabled=self._amp)

    def _after_update(self, *_: object) -> None:
        """Count an update, which a loss scale may skip, and let the average of the weights follow it."""
        self._updates += 1
        if self._average:
            self._average.update(self.model)

    @property
    def _evaluated(self) -> nn.Module:
        """The network of val, test, measurement and checkpoint: with the average of the weights where there is one."""
        return self._average.module if self._average else self.model

    def take_sums(self) -> EpochSums:
        """Read back the epoch's sums, and start again from zero."""
        with self._ranks.told("take_sums"):
            loss, correct = (self._ranks.total(values).item() for values in (self._loss_sum, self._correct))
        sums = EpochSums(loss, correct, self._updates)
        self._loss_sum.zero_()
        self._correct.zero_()
        self._updates = 0
        return sums

    def synchronize(self) -> None:
        """Wait until the GPU has done all its work."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    @torch.inference_mode()
    def predict(self, split: str) -> Predictions:
        """Return the logits and labels of `val` or `test`."""
        network = self._evaluated.eval()
        logits, labels = [], []
        for images, batch_labels in self._evaluation[split]:
            with self._autocast():
                logits.append(network(self._on_device(images)).to(self._type))
            labels.append(batch_labels)
        return Predictions(torch.cat(logits).cpu().numpy(), torch.cat(labels).numpy())

    def layers(self, images: int) -> list[dict[str, Any]]:
        """Measure the activation layers on this many val images, in one batch without augmentation."""
        val = PlainImages(self._store.split("val", images), self._store)
        batch, labels = val[range(len(val))]
        self._peak_memory_mb = self.peak_memory_mb()
        try:
            return measure(self._evaluated, self._on_device(batch), labels.to(self._device))
        except torch.OutOfMemoryError:
            raise OutOfMemory(
                f"{self._cell.name}: {images} images are too many to measure at once: lower `measurements.layer_images`"
            ) from None
        finally:
            if self._device.type == "cuda":  # the measurement's peak is not the training's
                torch.cuda.reset_peak_memory_stats()

    def save_weights(self, path: Path) -> None:
        """Write the `state_dict` of the evaluated network."""
        torch.save(self._evaluated.state_dict(), path)

    def load_weights(self, path: Path) -> None:
        """Read what `save_weights` wrote."""
        self._evaluated.load_state_dict(torch.load(path, map_location=self._device, weights_only=True))

    def save_state(self, path: Path) -> None:
        """Write the model, the average of its weights, the optimizer and the loss scale."""
        torch.save({name: part.state_dict() for name, part in self._parts().items()}, path)

    def load_state(self, path: Path) -> None:
        """Read what `save_state` wrote."""
        states = torch.load(path, map_location=self._device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(states[name])
        self._ranks.loaded(path)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | torch.amp.GradScaler]:
        averaged = {"average": self._average.module} if self._average else {}
        return {"model": self.model, "optimizer": self._optimizer, "scaler": self._scaler} | averaged

    def peak_memory_mb(self) -> float:
        """Return the GPU's peak of allocated memory in MiB, or without a GPU the process's peak of resident memory.

        The GPU's is without the measurement of layers.
        """
        if self._device.type == "cuda":
            return max(self._peak_memory_mb, torch.cuda.max_memory_allocated() / 2**20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def describe(self) -> dict[str, str]:
        """Return the device or devices, and the CUDA and cuDNN that this process has loaded."""
        device = torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"
        return {
            "device": device if self._settings.devices == 1 else f"{self._settings.devices} x {device}",
            **environment.loaded_libraries(),
            "amp_type": str(self._amp_type).removeprefix("torch.") if self._amp else "off",
            **({"compiled": self._compilation} if self._settings.compile else {}),
        }


def _set_weights(model: nn.Module, cell: Cell) -> None:
    """Replace PyTorch's own first weights by the cell's."""
    parameters = dict(model.named_parameters())
    weights = initial.weights(cell, {name: tuple(values.shape) for name, values in parameters.items()})
    with torch.no_grad():
        for name, values in weights.items():
            parameters[name].copy_(torch.from_numpy(values))
