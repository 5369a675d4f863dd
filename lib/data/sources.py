"""A dataset's source, opened: a library, parquet files, the hub, or the official archive, downloaded or on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from lib import paths
from lib.data.archives import Members, Part, members
from lib.data.download import download, md5
from lib.data.formats import parquet
from lib.data.layout import Origin
from lib.errors import DataError
from lib.study.datasets import Archive, Dataset


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
    contains one of these, or the dataset's id on the hub. `scratch` is a folder for the `datasets` library's cache.

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
    elif path is not None and str(path) == dataset.hub and not path.exists():
        yield Source(Origin("hub", dataset.hub), *parquet.read(dataset, dataset.hub, f"the hub's {path}", **cache))
    elif dataset.archive is None:
        raise DataError(
            f"{path or dataset.title} is no folder of parquet files, the one source of {dataset.name}: "
            f"make data DATASET={dataset.name} SOURCE=..."
        )
    else:
        path, origin = _downloaded(dataset.archive) if path is None else _on_disk(dataset, path)
        with members(path, dataset.archive.folder) as opened:
            yield Source(origin, *_read(dataset, opened))


def _read(dataset: Dataset, files: Members | None) -> tuple[Part, Part]:
    """Call the reader that the dataset's row names."""
    module, _, function = dataset.reader.partition(".")
    return getattr(import_module(f"lib.data.formats.{module}"), function)(dataset, files)


def _downloaded(archive: Archive) -> tuple[Path, Origin]:
    path = download(archive.url, paths.DATA / "downloads" / archive.file, archive.md5)
    return path, Origin("download", official=True)


def _on_disk(dataset: Dataset, path: Path) -> tuple[Path, Origin]:
    """Return the archive, or the folder of its contents, that `path` is or contains."""
    archive = dataset.archive
    if path.is_file():
        return path, Origin("archive", str(path.resolve()), md5(path) == archive.md5)
    if (path / archive.file).is_file():
        return _on_disk(dataset, path / archive.file)
    for folder in (path, path / archive.folder):
        if (folder / archive.marker).is_file():
            return folder, Origin("folder", str(folder.resolve()))
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    raise DataError(
        f"{path} holds no {dataset.title}: expected {archive.file}, its extracted folder {archive.folder}, "
        "or parquet files named data/train-*.parquet and data/test-*.parquet (or valid-*)"
    )
