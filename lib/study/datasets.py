"""What each dataset is: the facts that its store is checked against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """The facts of one dataset; `size` is the image's height and width in pixels, the other numbers count images."""

    name: str
    title: str
    classes: int
    size: int
    train: int
    test: int
    val: int


CATALOG = {
    dataset.name: dataset
    for dataset in (
        Dataset("digits", "scikit-learn digits", classes=10, size=32, train=1_437, test=360, val=144),
        Dataset("cifar10", "CIFAR-10", classes=10, size=32, train=50_000, test=10_000, val=5_000),
        Dataset("cifar100", "CIFAR-100", classes=100, size=32, train=50_000, test=10_000, val=5_000),
        Dataset("tiny_imagenet", "Tiny-ImageNet-200", classes=200, size=64, train=100_000, test=10_000, val=10_000),
    )
}
