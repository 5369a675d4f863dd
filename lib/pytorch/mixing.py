"""Mixup and CutMix: the transforms of torchvision on a batch, drawn from PyTorch's global generator."""

from torch import Tensor, nn
from torchvision.transforms import v2

from lib.study.settings import Mixing


def mixing(settings: Mixing, classes: int) -> nn.Module | None:
    """Return the transform of a batch's images (N, C, H, W) and labels (N,), or None where nothing is mixed.

    The labels of a mixed batch are shares (N, classes). An image is mixed with the one before it in the batch.
    """
    kinds = ((v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix))
    transforms = [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha]
    return v2.RandomApply([v2.RandomChoice(transforms)], settings.probability) if transforms else None


def hard(labels: Tensor) -> Tensor:
    """Return one label for each image: of mixed images, that of the larger share."""
    return labels if labels.ndim == 1 else labels.argmax(1)
