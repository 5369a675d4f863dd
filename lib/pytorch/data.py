"""PyTorch's input pipeline: a `DataLoader` whose sampler draws every random number, batch by batch.

The sampler draws an epoch's order and augmentation in the main process, from one seeded generator or from the stream
that both frameworks share. A batch is cut and normalised as a whole: by the main process, by a worker process, or on
the device that trains. Its bits depend neither on the number of workers nor on the device.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, SequentialSampler
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode, functional

from lib.data import stream
from lib.data.store import Split, Store
from lib.data.stream import Stream
from lib.environment import cores
from lib.study.settings import Augmentation, Settings

ERASING = v2.RandomErasing(p=1.0)
"""It erases a rectangle of every image that it is given."""


class Draws(NamedTuple):
    """A batch of an epoch: each image's index and its augmentation.

    `corner` is the top and left of its crop in the padded image, and `angle` is in degrees. `erasing` is the seed of
    its erased rectangle and `policy` that of the policy's operations, each 0 for none. All are arrays (B, ...).
    """

    index: np.ndarray
    corner: np.ndarray
    mirrored: np.ndarray
    angle: np.ndarray
    erasing: np.ndarray
    policy: np.ndarray


class EpochSampler(Sampler[Draws]):
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
        return self._steps

    def __iter__(self) -> Iterator[Draws]:
        order, corners, mirrored = self._shared() if self._settings.pairing.shared else self._own()
        epoch = Draws(self._indices[order], corners, mirrored, *self._without_twin())
        for step in range(self._steps):
            chosen = step * self._settings.batch_size + self._places
            yield Draws(*(values[chosen] for values in epoch))

    def _own(self) -> Stream:
        """Draw an epoch from PyTorch's generator."""
        count, random, augmentation = len(self._indices), self._generator, self._settings.augmentation
        order = torch.randperm(count, generator=random)
        corners = torch.randint(0, 2 * augmentation.crop_padding + 1, (count, 2), generator=random)
        mirrored = (torch.rand(count, generator=random) < 0.5) & augmentation.flip
        return Stream(order.numpy(), corners.numpy(), mirrored.numpy())

    def _without_twin(self) -> tuple[np.ndarray, ...]:
        """Draw the angles and the seeds of rectangles and policies, after all that has a twin in Keras."""
        count, random, augmentation = len(self._indices), self._generator, self._settings.augmentation
        angles = augmentation.rotation * (2 * torch.rand(count, generator=random) - 1)
        erased = torch.rand(count, generator=random) < augmentation.erasing
        erasing, policy = (torch.randint(1, 2**31, (count,), generator=random) for _ in range(2))
        return angles.numpy(), (erased * erasing).numpy(), ((augmentation.policy != "none") * policy).numpy()

    def _shared(self) -> Stream:
        """Draw the epoch that both frameworks share, from the generator's seed."""
        return stream.draw(self._generator.initial_seed(), len(self._indices), self._settings)


class TrainImages(Dataset):
    """Batches of a split's images `(B, C, H, W)` in float32, augmented as drawn and normalised, with labels `(B,)`.

    With a `device` the images are copied to its memory, and the batches are made there. What a crop or a rotation takes
    from outside the image is 0 before the normalisation.
    """

    def __init__(
        self, split: Split, store: Store, augmentation: Augmentation, device: torch.device | None = None
    ) -> None:
        self._split, self._normalise, self._device = split, Normalisation(store, device), device
        self._padding, self._policy = augmentation.crop_padding, policy(augmentation)
        self._images = None if device is None else torch.tensor(split.images, device=device)

    def __getitem__(self, draws: Draws) -> tuple[Tensor, Tensor]:
        index, corners, mirrored = (torch.from_numpy(part).to(self._device) for part in draws[:3])
        images = torch.from_numpy(self._split.images[draws.index]) if self._images is None else self._images[index]
        images = _channels_first(_crops(images, corners, mirrored, self._padding))
        for place in np.flatnonzero(draws.angle):
            images[place] = functional.rotate(images[place], float(draws.angle[place]), InterpolationMode.BILINEAR)
        for place in np.flatnonzero(draws.policy):
            images[place] = drawn_from(int(draws.policy[place]), self._policy, images[place])
        images = self._normalise(images)
        for place in np.flatnonzero(draws.erasing):  # 0 in 2 % to 33 % of the area, aspect ratio 0.3 to 3.3
            images[place] = drawn_from(int(draws.erasing[place]), ERASING, images[place])
        return images, _labels(self._split, draws.index)


class PlainImages(Dataset):
    """Batches of a split's images `(B, C, H, W)` in float32, normalised, with labels `(B,)`, by their positions."""

    def __init__(self, split: Split, store: Store) -> None:
        self._split, self._normalise = split, Normalisation(store)

    def __len__(self) -> int:
        return len(self._split.indices)

    def __getitem__(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        index = self._split.indices[positions]
        return self._normalise(_channels_first(torch.from_numpy(self._split.images[index]))), _labels(
            self._split, index
        )


class Normalisation:
    """Bytes `(B, C, H, W)` scaled to [0, 1], minus the train split's mean, over its std, channel by channel.

    The operations and their order are those of torchvision's `to_dtype` and `normalize`, in float32.
    """

    def __init__(self, store: Store, device: torch.device | None = None) -> None:
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
            for values in (store.mean, store.std)
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images (B, C, H, W) in float32."""
        return images.to(torch.float32).mul_(1 / 255).sub_(self._mean).div_(self._std)


def _crops(images: Tensor, corners: Tensor, mirrored: Tensor, padding: int) -> Tensor:
    """Cut an image out of each padded one (B, H, W, C), from a corner (B, 2) on, and mirror it where it is to be."""
    count, height, width, channels = images.shape
    padded = nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    image, row, column = (torch.arange(size, device=images.device) for size in (count, height, width))
    rows = image[:, None] * padded.shape[1] + corners[:, :1] + row
    columns = corners[:, 1:] + torch.where(mirrored[:, None], column.flip(0), column)
    pixels = rows[:, :, None] * padded.shape[2] + columns[:, None, :]
    return padded.view(-1, channels).index_select(0, pixels.view(-1)).view(images.shape)


def _channels_first(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).contiguous()


def _labels(split: Split, index: np.ndarray) -> Tensor:
    return torch.from_numpy(split.labels[index].astype(np.int64))


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


def training_loader(
    split: Split,
    store: Store,
    settings: Settings,
    steps: int,
    places: np.ndarray | None = None,
    device: torch.device | None = None,
) -> DataLoader:
    """Return the loader of the training batches, or of these places in each; `loader.sampler.reseed` seeds an epoch.

    With a `device` the batches are made on it, else on the host: by worker processes beside a GPU or where images are
    changed one by one, otherwise by this process, which makes a batch faster than it could get it from another one.
    """
    places = np.arange(settings.batch_size) if places is None else places
    sampler = EpochSampler(split.indices, steps, settings, places)
    images = TrainImages(split, store, settings.augmentation, device)
    most = min(settings.num_workers, cores() // settings.devices)
    helped = device is None and (torch.cuda.is_available() or settings.augmentation.by_image)
    return _loader(images, sampler, most if helped else 0, pin=device is None)


def evaluation_loader(split: Split, store: Store, batch_size: int, num_workers: int) -> DataLoader:
    """Return the loader of a val or test split: in order, with its incomplete last batch."""
    images = PlainImages(split, store)
    batches = BatchSampler(SequentialSampler(images), batch_size, drop_last=False)
    return _loader(images, batches, min(num_workers, cores()) if torch.cuda.is_available() else 0)


def start_workers(loader: DataLoader) -> None:
    """Start a loader's workers, which persist, so that the first epoch's time does not include it."""
    iter(loader)


def _loader(images: Dataset, batches: Sampler, num_workers: int, pin: bool = True) -> DataLoader:
    """Return a loader of whole batches: `batches` yields what the dataset makes one from."""
    options = {"persistent_workers": True, "prefetch_factor": 2} if num_workers else {}
    # Each iterator draws a seed for its workers. Drawn from the global generator, it would shift the draws of dropout
    # by the number of iterators, which is smaller in a resumed run.
    own, pinned = torch.Generator(), pin and torch.cuda.is_available()
    return DataLoader(
        images, None, sampler=batches, num_workers=num_workers, pin_memory=pinned, generator=own, **options
    )
