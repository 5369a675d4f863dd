"""PyTorch's input pipeline: a `DataLoader` whose sampler draws every random number.

The sampler draws an epoch's order and augmentation in the main process, from one seeded generator or from the stream
that both frameworks share. Results do not depend on the number of workers.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode, functional

from lib.data import stream
from lib.data.store import Split, Store
from lib.data.stream import Stream
from lib.environment import cores
from lib.study.settings import Augmentation, Settings

ERASING = v2.RandomErasing(p=1.0)
"""It erases a rectangle of every image that it is given."""


class Draw(NamedTuple):
    """One image of an epoch: its index and its augmentation.

    `top` and `left` are the corner of its crop in the padded image, and `angle` is in degrees. `erasing` is the seed of
    its erased rectangle and `policy` that of the policy's operations, each 0 for none.
    """

    index: int
    top: int
    left: int
    mirrored: bool
    angle: float
    erasing: int
    policy: int


class EpochSampler(Sampler[Draw]):
    """Draws `steps` batches of a split's images without replacement, and yields the `places` in each that it is given.

    The whole epoch is drawn, whichever places are: every device of a run draws the same one.
    """

    def __init__(self, indices: np.ndarray, steps: int, settings: Settings, places: np.ndarray) -> None:
        self._indices, self._steps, self._settings, self._places = indices, steps, settings, places
        self._generator = torch.Generator()

    def reseed(self, seed: int) -> None:
        """Seed the next epoch."""
        self._generator.manual_seed(seed)

    def __len__(self) -> int:
        return self._steps * len(self._places)

    def __iter__(self) -> Iterator[Draw]:
        order, corners, mirrored = self._shared() if self._settings.pairing.shared else self._own()
        columns = (self._indices[order], corners, mirrored, *self._without_twin())
        chosen = (np.arange(self._steps)[:, None] * self._settings.batch_size + self._places).ravel()
        for index, corner, *others in zip(*(column[chosen].tolist() for column in columns), strict=True):
            yield Draw(index, *corner, *others)

    def _own(self) -> Stream:
        """Draw an epoch from PyTorch's generator."""
        count, random, augmentation = len(self._indices), self._generator, self._settings.augmentation
        order = torch.randperm(count, generator=random)
        corners = torch.randint(0, 2 * augmentation.crop_padding + 1, (count, 2), generator=random)
        mirrored = (torch.rand(count, generator=random) < 0.5) & augmentation.flip
        return Stream(order.numpy(), corners.numpy(), mirrored.numpy())

    def _without_twin(self) -> tuple[torch.Tensor, ...]:
        """Draw the angles and the seeds of rectangles and policies, after all that has a twin in Keras."""
        count, random, augmentation = len(self._indices), self._generator, self._settings.augmentation
        angles = augmentation.rotation * (2 * torch.rand(count, generator=random) - 1)
        erased = torch.rand(count, generator=random) < augmentation.erasing
        erasing, policy = (torch.randint(1, 2**31, (count,), generator=random) for _ in range(2))
        return angles, erased * erasing, (augmentation.policy != "none") * policy

    def _shared(self) -> Stream:
        """Draw the epoch that both frameworks share, from the generator's seed."""
        return stream.draw(self._generator.initial_seed(), len(self._indices), self._settings)


class TrainImages(Dataset):
    """A split's images `(C, H, W)` in float32, augmented as drawn and normalised, with their labels.

    What a crop or a rotation takes from outside the image is 0 before the normalisation.
    """

    def __init__(self, split: Split, store: Store, augmentation: Augmentation) -> None:
        self._split, self._store, self._padding = split, store, augmentation.crop_padding
        self._policy = policy(augmentation)

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, int]:
        image = _as_tensor(self._split, draw.index)
        height, width = image.shape[1:]
        padded = functional.pad(image, [self._padding])
        crop = functional.crop(padded, draw.top, draw.left, height, width)
        crop = functional.horizontal_flip(crop) if draw.mirrored else crop
        if draw.angle:
            crop = functional.rotate(crop, draw.angle, InterpolationMode.BILINEAR)
        if draw.policy:
            crop = drawn_from(draw.policy, self._policy, crop)
        image = _normalise(crop, self._store)
        if draw.erasing:  # the rectangle is 0: 2 % to 33 % of the area, aspect ratio 0.3 to 3.3
            image = drawn_from(draw.erasing, ERASING, image)
        return image, int(self._split.labels[draw.index])


class PlainImages(Dataset):
    """A split's images `(C, H, W)` in float32, normalised, with their labels, in the split's order."""

    def __init__(self, split: Split, store: Store) -> None:
        self._split, self._store = split, store

    def __len__(self) -> int:
        return len(self._split.indices)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        index = int(self._split.indices[position])
        return _normalise(_as_tensor(self._split, index), self._store), int(self._split.labels[index])


def policy(settings: Augmentation) -> nn.Module | None:
    """Return the transform of the policy, if there is one; RandAugment has torchvision's two operations."""
    if settings.policy == "randaugment":
        return v2.RandAugment(magnitude=settings.magnitude)
    return v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10) if settings.policy == "autoaugment" else None


def drawn_from(seed: int, transform: nn.Module, *inputs: torch.Tensor) -> Any:
    """Apply a transform of torchvision, which draws from the global generator, with a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # and not that of a GPU, which dropout uses
        return transform(*inputs)


def part_of(settings: Settings, rank: int) -> np.ndarray:
    """Return the places in a batch of the images of one device: an equal part of every micro-batch."""
    places = np.arange(settings.batch_size).reshape(settings.accumulation_steps, settings.devices, -1)
    return places[:, rank].ravel()


def _normalise(image: torch.Tensor, store: Store) -> torch.Tensor:
    """Scale bytes to [0, 1], subtract the train split's mean and divide by its std, channel by channel."""
    scaled = functional.to_dtype(image, torch.float32, scale=True)
    return functional.normalize(scaled, store.mean.tolist(), store.std.tolist())


def _as_tensor(split: Split, index: int) -> torch.Tensor:
    return torch.tensor(split.images[index]).permute(2, 0, 1)


def training_loader(
    split: Split, store: Store, settings: Settings, steps: int, places: np.ndarray | None = None
) -> DataLoader:
    """Return the loader of the training batches, or of these places in each; `loader.sampler.reseed` seeds an epoch."""
    places = np.arange(settings.batch_size) if places is None else places
    sampler = EpochSampler(split.indices, steps, settings, places)
    images = TrainImages(split, store, settings.augmentation)
    workers = min(settings.num_workers, cores() // settings.devices)
    return _loader(images, len(places), workers, sampler=sampler, drop_last=True)


def evaluation_loader(split: Split, store: Store, batch_size: int, num_workers: int) -> DataLoader:
    """Return the loader of a val or test split: in order, with its incomplete last batch."""
    return _loader(PlainImages(split, store), batch_size, min(num_workers, cores()))


def start_workers(loader: DataLoader) -> None:
    """Start a loader's workers, which persist, so that the first epoch's time does not include it."""
    iter(loader)


def _loader(images: Dataset, batch_size: int, num_workers: int, **options: object) -> DataLoader:
    if num_workers:
        options |= {"persistent_workers": True, "prefetch_factor": 2}
    # Each iterator draws a seed for its workers. Drawn from the global generator, it would shift the draws of dropout
    # by the number of iterators, which is smaller in a resumed run.
    own = torch.Generator()
    return DataLoader(
        images, batch_size, num_workers=num_workers, pin_memory=torch.cuda.is_available(), generator=own, **options
    )
