"""IDX, the format of MNIST: a magic number, the size of each axis, and the values; all numbers are big-endian.

Source: http://yann.lecun.com/exdb/mnist/, "File formats for the MNIST database".
"""

import gzip
import math
import zlib

import numpy as np

from lib.data.archives import Members, Part
from lib.errors import DataError
from lib.study.datasets import Dataset

_IMAGES, _LABELS = 2051, 2049
"""The magic numbers of bytes in three axes and in one: 0x08, and the number of axes."""

_KINDS = {_IMAGES: "images", _LABELS: "labels"}


def read(dataset: Dataset, files: Members) -> tuple[Part, Part]:
    """Return the train and the test part: a file of grey images and a file of labels each."""
    return _part(dataset, files, "train", "train"), _part(dataset, files, "test", "t10k")


def _part(dataset: Dataset, files: Members, part: str, prefix: str) -> Part:
    images, of_images = _array(files, f"{prefix}-images-idx3-ubyte", _IMAGES)
    labels, of_labels = _array(files, f"{prefix}-labels-idx1-ubyte", _LABELS)
    official = getattr(dataset, part)
    if images.shape[1:] != dataset.shape[:2]:
        height, width = images.shape[1:]
        raise DataError(f"{of_images} holds images of {height} x {width} pixels, not {dataset.size} x {dataset.size}")
    for where, number, kind in ((of_images, len(images), "images"), (of_labels, len(labels), "labels")):
        if number > official:
            raise DataError(f"{where} holds {number:,} {kind}, and the {part} part of {dataset.title} has {official:,}")
    if len(images) != len(labels):
        raise DataError(f"{of_labels} holds {len(labels):,} labels for {len(images):,} images")
    if (wrong := np.flatnonzero(labels >= dataset.classes)).size:
        number = wrong[0]
        raise DataError(f"{of_labels}: label {number + 1:,} is {labels[number]}, not one of 0 to {dataset.classes - 1}")
    return Part(labels.astype(np.int64), images.reshape(-1, *dataset.shape))


def _array(files: Members, name: str, magic: int) -> tuple[np.ndarray, str]:
    """Read one file, as published or unpacked; return its uint8 array, and how an error names the file."""
    file = name if name in files.names and f"{name}.gz" not in files.names else f"{name}.gz"
    where, content = f"{files.origin}: {file}", files.read(file)
    if file.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{where} is damaged or truncated ({error})") from error
    numbers = [int.from_bytes(content[at : at + 4], "big") for at in range(0, 4 * (1 + magic % 256), 4)]
    if numbers[0] != magic:
        kind = _KINDS.get(numbers[0], "no images or labels")
        raise DataError(f"{where} has the magic number {numbers[0]} ({kind}), not {magic} ({_KINDS[magic]})")
    header, shape = 4 * len(numbers), numbers[1:]
    if len(content) != header + math.prod(shape):
        raise DataError(
            f"{where} is damaged or truncated: its header announces {math.prod(shape):,} values, "
            f"and {max(len(content) - header, 0):,} follow"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape), where
