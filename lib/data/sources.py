"""Where the images of a dataset come from, each way ending in the same thing: a train and a test part."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lib import paths
from lib.data import archives
from lib.data.archives import ARCHIVES, Archive, Part
from lib.data.disk import is_full_disk
from lib.data.download import download, md5
from lib.errors import DataError
from lib.study.datasets import Dataset

if TYPE_CHECKING:
    import datasets

READERS = {
    "cifar10": archives.read_cifar10,
    "cifar100": archives.read_cifar100,
    "tiny_imagenet": archives.read_tiny_imagenet,
}

HUB = {"tiny_imagenet": "zh-plus/tiny-imagenet"}
"""Ids on the Hugging Face hub that are taken as a source, through the `datasets` library."""


@dataclass(frozen=True)
class Origin:
    """Where a store's images came from; `official`: whether an archive had the official checksum (None: no archive)."""

    kind: str
    location: str | None = None
    official: bool | None = None

    @property
    def where(self) -> str:
        """The origin as an error names it."""
        return self.location or {"arrays": f"the arrays in {paths.DATA}"}.get(self.kind, self.kind)


@dataclass(frozen=True)
class Source:
    """The two parts of a dataset, open for one reading."""

    origin: Origin
    train: Part
    test: Part


@contextmanager
def open_source(dataset: Dataset, path: Path | None, scratch: Path) -> Iterator[Source]:
    """Open a dataset's source: what is at `path`; without one, scikit-learn (digits) or the official download.

    `path` is an official archive, its extracted folder, a folder of parquet files in the hub's layout, a folder that
    holds one of these, or the dataset's id on the hub. `scratch` is a folder for the `datasets` library's cache.

    Raises:
        DataError: the source is absent, unknown or damaged; on opening it, or while its images are read.
    """
    if dataset.name == "digits":
        if path is not None:
            raise DataError("digits come with scikit-learn and take no source")
        yield Source(Origin("scikit-learn"), *_digits(dataset))
    elif path is not None and (files := _parquet_files(path)):
        parts = _tables("parquet", str(path), data_files=files, cache_dir=str(scratch))
        yield Source(Origin("parquet", str(path.resolve())), *parts)
    elif path is not None and str(path) == HUB.get(dataset.name) and not path.exists():
        yield Source(Origin("hub", str(path)), *_tables(str(path), f"the hub's {path}", cache_dir=str(scratch)))
    else:
        archive = ARCHIVES[dataset.name]
        path, origin = _downloaded(archive) if path is None else _on_disk(archive, path, dataset.title)
        with archives.members(path, archive) as members:
            yield Source(origin, *READERS[dataset.name](members))


def _downloaded(archive: Archive) -> tuple[Path, Origin]:
    path = download(archive.url, paths.DATA / "downloads" / archive.file, archive.md5)
    return path, Origin("download", official=True)


def _on_disk(archive: Archive, path: Path, title: str) -> tuple[Path, Origin]:
    """Return the archive, or the folder of its contents, that `path` is or holds."""
    if path.is_file():
        return path, Origin("archive", str(path.resolve()), md5(path) == archive.md5)
    if (path / archive.file).is_file():
        return _on_disk(archive, path / archive.file, title)
    for folder in (path, path / archive.folder):
        if (folder / archive.marker).is_file():
            return folder, Origin("folder", str(folder.resolve()))
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    raise DataError(
        f"{path} holds no {title}: expected {archive.file}, its extracted folder {archive.folder}, "
        "or parquet files named data/train-*.parquet and data/test-*.parquet (or valid-*)"
    )


def _digits(dataset: Dataset) -> tuple[Part, Part]:
    """Return scikit-learn's 8 x 8 digits as 32 x 32 RGB: every pixel 4 x 4 times, its values 0..16 scaled to 0..255."""
    digits = load_digits()
    grey = ((digits.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)  # integers: the same bytes everywhere
    images = np.stack([grey.repeat(4, axis=1).repeat(4, axis=2)] * 3, axis=-1)
    parts = train_test_split(np.arange(len(images)), test_size=dataset.test, stratify=digits.target, random_state=42)
    train, test = (Part(digits.target[part].astype(np.int64), images[part]) for part in parts)
    return train, test


def _parquet_files(path: Path) -> dict[str, list[str]] | None:
    """Return the parquet files of the train and test part below `path`; a `valid` part serves as the test part."""
    for folder in (path / "data", path):
        train = sorted(map(str, folder.glob("train-*.parquet")))
        test = [sorted(map(str, folder.glob(f"{name}-*.parquet"))) for name in ("test", "valid", "validation")]
        if train and any(test):
            return {"train": train, "test": next(filter(None, test))}
    return None


def _tables(name: str, where: str, **options: object) -> tuple[Part, Part]:
    """Load both parts through the `datasets` library: parquet files, or a dataset of the hub or its mirror."""
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(name, **options)
    except Exception as error:  # the library passes on what pyarrow, fsspec and the network raise
        cause = error.__cause__ or error
        if is_full_disk(cause):
            raise cause from error
        raise DataError(f"{where} cannot be read: {cause}") from error
    test = next(part for part in ("test", "valid", "validation") if part in loaded)
    return _rows(loaded["train"], f"{where}: train"), _rows(loaded[test], f"{where}: {test}")


def _rows(table: "datasets.Dataset", where: str) -> Part:
    """Return a table's labels, and its images decoded by us rather than by the library, so that errors name the row."""
    import datasets

    image = _column(table.column_names, ("img", "image"), where)
    label = _column(table.column_names, ("fine_label", "label"), where)
    labels = np.asarray(table.with_format("numpy")[label][:])
    encoded = table.select_columns(image).cast_column(image, datasets.Image(decode=False))
    rows = enumerate(row[image]["bytes"] for row in encoded)
    return Part(labels, (archives.decode_rgb(content, f"{where}, row {number}") for number, content in rows))


def _column(present: list[str], choices: tuple[str, ...], where: str) -> str:
    for choice in choices:
        if choice in present:
            return choice
    raise DataError(f"{where} has the columns {', '.join(present)}, and none named {' or '.join(choices)}")
