"""A dataset's source, opened: a library, parquet files, the hub, or official files, downloaded or on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from lib import paths
from lib.data.archives import Members, Part, members
from lib.data.download import download, md5
from lib.data.formats import parquet, resplit
from lib.data.layout import Origin
from lib.errors import DataError
from lib.study.datasets import Dataset


@dataclass(frozen=True)
class Source:
    """The two parts of a dataset, open for one reading."""

    origin: Origin
    train: Part
    test: Part


@contextmanager
def open_source(dataset: Dataset, path: Path | None, scratch: Path) -> Iterator[Source]:
    """Open the source at `path`, or without a path the dataset's library or official download.

    `path` is an official archive, its extracted folder, a folder of parquet files in the hub's layout, a folder that
    contains one of these, a folder of the official files, packed or not, a re-split folder, or the dataset's id on the
    hub. `scratch` is a folder for the `datasets` library's cache.

    Raises:
        DataError: the source is absent, unknown or damaged; raised on opening it or while its images are read.
    """
    cache = {"cache_dir": str(scratch)}
    if dataset.library:
        if path is not None:
            raise DataError(f"the images of {dataset.name} come with {dataset.library}: leave the source out")
        yield Source(Origin(dataset.library), *_read(dataset, None))
    elif path is not None and (files := parquet.files_below(path)):
        parts = parquet.read(dataset, "parquet", str(path), data_files=files, **cache)
        yield Source(Origin("parquet", str(path.resolve())), *parts)
    elif path is not None and (path / resplit.IMAGES).is_file():
        yield Source(Origin("resplit", str(path.resolve())), *resplit.read(dataset, path, str(scratch)))
    elif path is not None and str(path) == dataset.hub and not path.exists():
        yield Source(Origin("hub", dataset.hub), *parquet.read(dataset, dataset.hub, f"the hub's {path}", **cache))
    elif not dataset.archive and not dataset.files:
        raise DataError(
            f"{path or dataset.title} is no folder of parquet files, the one source of {dataset.name}: "
            f"make data DATASET={dataset.name} SOURCE=..."
        )
    else:
        on_disk = _archive_on_disk if dataset.archive else _files_on_disk
        path, origin = _downloaded(dataset) if path is None else on_disk(dataset, path)
        with members(path, dataset.archive.folder if dataset.archive else dataset.name) as opened:
            yield Source(origin, *_read(dataset, opened))


def _read(dataset: Dataset, files: Members | None) -> tuple[Part, Part]:
    """Call the reader that the dataset's row names."""
    module, _, function = dataset.reader.partition(".")
    return getattr(import_module(f"lib.data.formats.{module}"), function)(dataset, files)


def _downloaded(dataset: Dataset) -> tuple[Path, Origin]:
    """Return the official archive, or the folder of the official files."""
    archive, folder = dataset.archive, paths.DATA / "downloads"
    if archive:
        path = download(archive.url, folder / archive.file, archive.md5)
    else:
        path = folder / dataset.name
        for one in dataset.files:
            download(one.url, path / one.file, one.md5)
    return path, Origin("download", official=True)


def _files_on_disk(dataset: Dataset, path: Path) -> tuple[Path, Origin]:
    """Return the folder of the official files; their checksums are those of the packed files."""
    packed = [path / one.file for one in dataset.files]
    if not any(file.is_file() or file.with_suffix("").is_file() for file in packed):
        raise _nothing(dataset, path, f"{packed[0].name} and the other official files, packed or not")
    same = [md5(file) == one.md5 for one, file in zip(dataset.files, packed, strict=True) if file.is_file()]
    unknown = all(same) and len(same) < len(packed)
    return path, Origin("files", str(path.resolve()), None if unknown else all(same))


def _archive_on_disk(dataset: Dataset, path: Path) -> tuple[Path, Origin]:
    """Return the archive, or the folder of its contents, that `path` is or contains."""
    archive = dataset.archive
    if path.is_file():
        return path, Origin("archive", str(path.resolve()), md5(path) == archive.md5)
    if (path / archive.file).is_file():
        return _archive_on_disk(dataset, path / archive.file)
    for folder in (path, path / archive.folder):
        if (folder / archive.marker).is_file():
            return folder, Origin("folder", str(folder.resolve()))
    raise _nothing(dataset, path, f"{archive.file}, its extracted folder {archive.folder}")


def _nothing(dataset: Dataset, path: Path, expected: str) -> DataError:
    if not path.exists():
        return DataError(f"no such file or folder: {path}")
    return DataError(
        f"{path} holds no {dataset.title}: expected {expected}, "
        "or parquet files named data/train-*.parquet and data/test-*.parquet (or valid-*), "
        f"or {resplit.IMAGES} with train.csv and test.csv"
    )
