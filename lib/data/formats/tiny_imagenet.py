"""Tiny-ImageNet's official folder: JPEG files, one folder per class in train, a list of classes for val."""

import re

import numpy as np

from lib.data.archives import Members, Part
from lib.data.images import decode
from lib.errors import DataError
from lib.study.datasets import Dataset


def read(dataset: Dataset, files: Members) -> tuple[Part, Part]:
    """Return the train part and, as the test part, the official val set; classes are in sorted wnid order."""
    train = sorted(name for name in files.names if re.fullmatch(r"train/\w+/images/.+\.JPEG", name))
    rows = [line.split("\t") for line in files.read("val/val_annotations.txt").decode().splitlines()]
    val = [(f"val/images/{row[0]}", row[1]) for row in rows if len(row) > 1]
    return (
        _part(dataset, files, train, [name.split("/")[1] for name in train]),
        _part(dataset, files, [name for name, _ in val], [wnid for _, wnid in val]),
    )


def _part(dataset: Dataset, files: Members, names: list[str], classes: list[str]) -> Part:
    numbers = {wnid: number for number, wnid in enumerate(sorted(files.read("wnids.txt").decode().split()))}
    if unknown := set(classes) - set(numbers):
        raise DataError(f"{files.origin} has images of {min(unknown)}, a class that is not in wnids.txt")
    labels = np.array([numbers[wnid] for wnid in classes], dtype=np.int64)
    return Part(labels, (decode(files.read(name), dataset.shape, f"{files.origin}: {name}") for name in names))
