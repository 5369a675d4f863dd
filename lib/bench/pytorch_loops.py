"""Training loops in PyTorch that the project's own is timed against: a bare one, and what a user would take instead.

All train the cell's network with its optimizer, in its precision and with its determinism. Each but the bare one has an
input pipeline of its own, with up to `num_workers` worker processes, and draws its own random numbers.
"""

import logging
import time
from collections.abc import Callable, Iterable
from itertools import cycle, islice

import torch
from PIL import Image
from timm.data import create_loader
from timm.utils import AverageMeter, accuracy
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from lib.bench.loops import Loop
from lib.data.store import Split, Store
from lib.environment import cores
from lib.pytorch.kernels import configure
from lib.pytorch.learner import PyTorchLearner
from lib.pytorch.networks import build
from lib.pytorch.optimizers import optimizer
from lib.study.cells import Cell


class Training:
    """A network with its optimizer and loss scale, on the device, and one step of it as PyTorch's recipes write it."""

    def __init__(self, cell: Cell, store: Store) -> None:
        settings = cell.settings
        configure(cell.seed, settings.tf32, settings.execution)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.type = PyTorchLearner.amp_types[self.device.type]
        self.amp = cell.precision == "amp"
        dataset = store.dataset
        self.network = build(cell.model, dataset.shape, dataset.classes, cell.conventions, settings.network)
        self.network.to(self.device).train()
        self.optimizer = optimizer(self.network, settings.optimizer, cell.conventions)
        self.loss = nn.CrossEntropyLoss()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp and self.type == torch.float16)

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Make one update, and return the loss and the logits."""
        with torch.autocast(self.device.type, self.type, enabled=self.amp):
            logits = self.network(images)
            loss = self.loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss, logits

    def seconds(self, warm: int, steps: Iterable[object]) -> float:
        """Return the seconds of steps, each made when it is asked for; those of the first ones do not count."""
        steps = iter(steps)
        for _ in islice(steps, warm):
            pass
        self.synchronize()
        start = time.perf_counter()
        for _ in steps:
            pass
        self.synchronize()
        return time.perf_counter() - start

    def synchronize(self) -> None:
        """Wait until the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def bare(cell: Cell, store: Store) -> Loop:
    """Return the loop that does nothing but steps, on four batches that lie on the device."""
    training, size = Training(cell, store), cell.settings.batch_size
    height, width, channels = store.dataset.shape
    images = torch.randn(4, size, channels, height, width, device=training.device)
    labels = torch.randint(store.dataset.classes, (4, size), device=training.device)

    def loop(warm: int, steps: int) -> float:
        batches = islice(cycle(zip(images, labels, strict=True)), warm + steps)
        return training.seconds(warm, (training.step(*batch) for batch in batches))

    return loop


class PlainDataset(Dataset):
    """The train split image by image, as a user would write it: `transform` is applied to each."""

    def __init__(self, split: Split, transform: Callable | None = None) -> None:
        self._split, self.transform = split, transform

    def __len__(self) -> int:
        return len(self._split.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        index = self._split.indices[position]
        pixels = self._split.images[index].squeeze()  # PIL's grey images have no axis of channels
        return self.transform(Image.fromarray(pixels)), int(self._split.labels[index])


def torchvision(cell: Cell, store: Store) -> Loop:
    """Return a loop in the form of torchvision's reference training: transforms v2, loss and accuracy read each step.

    Source: torchvision, `references/classification/train.py`, `train_one_epoch`.
    """
    training, losses, hits = Training(cell, store), AverageMeter(), AverageMeter()
    loader = user_loader(cell, store)

    def step(images: Tensor, labels: Tensor) -> None:
        labels = labels.to(training.device, non_blocking=True)
        loss, logits = training.step(images.to(training.device, non_blocking=True), labels)
        losses.update(loss.item(), len(labels))
        hits.update(accuracy(logits, labels)[0].item(), len(labels))

    return lambda warm, steps: training.seconds(warm, (step(*batch) for batch in islice(loader, warm + steps)))


def user_loader(cell: Cell, store: Store) -> DataLoader:
    """Return the loader that a user would write with torchvision's transforms."""
    height, width, _ = store.dataset.shape
    augmentation = cell.settings.augmentation
    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomCrop((height, width), augmentation.crop_padding),
            v2.RandomHorizontalFlip(0.5 if augmentation.flip else 0.0),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(store.mean.tolist(), store.std.tolist()),
        ]
    )
    images = PlainDataset(store.split("train"), transform)
    options = {"num_workers": _workers(cell), "persistent_workers": _workers(cell) > 0}
    pinned = torch.cuda.is_available()
    return DataLoader(images, cell.settings.batch_size, shuffle=True, drop_last=True, pin_memory=pinned, **options)


def timm(cell: Cell, store: Store) -> Loop:
    """Return a loop in the form of timm's training script: its loader, which normalises on the device, and its meter.

    Source: timm, `train.py`, `train_one_epoch`.
    """
    training, losses = Training(cell, store), AverageMeter()
    height, width, channels = store.dataset.shape
    loader = create_loader(
        PlainDataset(store.split("train")),
        (channels, height, width),
        cell.settings.batch_size,
        is_training=True,
        train_crop_mode="rkrc",
        hflip=0.5 if cell.settings.augmentation.flip else 0.0,
        color_jitter=0.0,
        mean=tuple(store.mean),
        std=tuple(store.std),
        num_workers=_workers(cell),
        persistent_workers=_workers(cell) > 0,
        pin_memory=torch.cuda.is_available(),
        device=training.device,
    )

    def step(images: Tensor, labels: Tensor) -> None:
        loss, _ = training.step(images, labels)
        losses.update(loss.item(), len(labels))

    return lambda warm, steps: training.seconds(warm, (step(*batch) for batch in islice(loader, warm + steps)))


def lightning(cell: Cell, store: Store) -> Loop:
    """Return a loop that Lightning's `Trainer` runs, with logging, checkpoints and the progress bar switched off."""
    import lightning.pytorch as pl

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # its advice at each `fit`
    training, loader = Training(cell, store), user_loader(cell, store)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = training.network

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            return training.loss(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return training.optimizer

    class Clock(pl.Callback):
        def __init__(self, warm: int) -> None:
            self._warm = warm

        def on_train_batch_start(self, trainer: pl.Trainer, module: Module, batch: object, number: int) -> None:
            if number == self._warm:
                training.synchronize()
                self.start = time.perf_counter()

        def on_train_end(self, trainer: pl.Trainer, module: Module) -> None:
            training.synchronize()
            self.seconds = time.perf_counter() - self.start

    def loop(warm: int, steps: int) -> float:
        clock, off = Clock(warm), dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
        precision = "16-mixed" if training.type == torch.float16 else "bf16-mixed"
        trainer = pl.Trainer(
            max_steps=warm + steps,
            max_epochs=-1,
            callbacks=[clock],
            accelerator=training.device.type,
            devices=1,
            precision=precision if training.amp else "32-true",
            enable_model_summary=False,
            **off,
        )
        trainer.fit(Module(), loader)
        return clock.seconds

    return loop


def _workers(cell: Cell) -> int:
    return min(cell.settings.num_workers, cores())


LOOPS: dict[str, Callable[[Cell, Store], Loop]] = {
    "bare": bare,
    "torchvision": torchvision,
    "timm": timm,
    "lightning": lightning,
}
"""Each loop by its name; Lightning need not be installed."""
