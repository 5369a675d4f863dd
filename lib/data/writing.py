"""Write a store's arrays into a folder beside it, and check each image on the way."""

import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib import paths
from lib.data import layout
from lib.data.checks import verify_labels
from lib.data.disk import require_space
from lib.data.sources import Source
from lib.errors import DataError
from lib.study.datasets import Dataset


@contextmanager
def building_folder(facts: Dataset) -> Iterator[Path]:
    """Yield an empty folder beside the store and remove it afterwards, with anything that a killed process left."""
    folder = paths.DATA / f".{facts.name}.building"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_source(facts: Dataset, source: Source, folder: Path) -> None:
    """Write both parts of a source as arrays below `folder`; `DataError` if they do not fit the dataset."""
    parts = {"train": source.train, "test": source.test}
    for name, part in parts.items():
        verify_labels(facts, part.labels, name, source.origin.where)
    images = sum(len(part.labels) for part in parts.values())
    require_space(folder, images * (math.prod(facts.shape) + 8), f"{facts.name}'s store")
    for name, part in parts.items():
        labels, shape = part.labels.astype(np.int64), (len(part.labels), *facts.shape)
        write_array(folder / layout.relative(facts.name, f"{name}_labels"), labels.shape, labels.dtype, [labels])
        bar = tqdm(part.images, total=len(labels), desc=f"{facts.name} {name}", unit=" images", disable=None)
        rows = _whole(bar, shape, f"{source.origin.where}: {name}")
        write_array(folder / layout.relative(facts.name, f"{name}_images"), shape, np.dtype(np.uint8), rows)


def _whole(images: Iterable[np.ndarray], shape: tuple[int, ...], where: str) -> Iterator[np.ndarray]:
    """Yield images, each checked; `DataError` for a wrong shape or type, or a wrong number of images."""
    count = 0
    for count, image in enumerate(images, start=1):
        if image.dtype != np.uint8 or image.shape != shape[1:]:
            raise DataError(f"{where}: image {count} is {image.dtype} {image.shape}, not uint8 {shape[1:]}")
        yield image
    if count != shape[0]:
        raise DataError(f"{where}: {count:,} images for {shape[0]:,} labels")


def write_array(path: Path, shape: tuple[int, ...], dtype: np.dtype, rows: Iterable[np.ndarray]) -> None:
    """Write a `.npy` file row by row; a memory map would end the process on a full disk."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for row in rows:
            file.write(np.ascontiguousarray(row))
