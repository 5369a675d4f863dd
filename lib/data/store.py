"""The stores: each dataset as memory-mapped NumPy arrays in `data/`, with its splits and statistics, checked.

A store is good if, and only if, its manifest `data/<dataset>.json` is there and agrees with the arrays. Arrays are
built in a folder beside, checked there, moved into place, and the manifest is written last.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from lib import files, paths
from lib.data import contents, layout
from lib.data.checks import checks, requirements, verify_arrays
from lib.data.disk import full_disk_as_data_error
from lib.data.layout import IMAGES_AND_LABELS, SPLITS, Manifest
from lib.data.sources import Origin, open_source
from lib.data.writing import building_folder, write_array, write_source
from lib.errors import DataError
from lib.study.datasets import CATALOG, Dataset

__all__ = ["Split", "Store", "checks", "open_store", "prepare"]


class Split(NamedTuple):
    """A split: `indices` int64 (n,) into `images` uint8 (N, H, W, 3) and `labels` (N,), both the whole mapped file."""

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


@dataclass(frozen=True)
class Store:
    """A dataset mapped into memory: images uint8 (N, H, W, 3), labels integer (N,), indices int64 into the train part.

    Indices are in scikit-learn's order. Tiny-ImageNet's test part is its official val set.
    """

    dataset: Dataset
    manifest: Manifest
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    train_indices: np.ndarray
    val_indices: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the six arrays by name."""
        return {name: getattr(self, name) for name in (*IMAGES_AND_LABELS, *SPLITS)}

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of each channel over the train split, pixels in [0, 1], float64 (3,)."""
        return np.array(self.manifest.mean)

    @cached_property
    def std(self) -> np.ndarray:
        """Standard deviation of each channel over the train split, pixels in [0, 1], float64 (3,)."""
        return np.array(self.manifest.std)

    @property
    def complete(self) -> bool:
        """Whether the store has as many images as the official dataset."""
        return self.manifest.complete

    @property
    def digest(self) -> str:
        """SHA-256 over the contents of all arrays, wherever they came from."""
        return self.manifest.digest

    def split(self, name: str, samples: int | None = None) -> Split:
        """Return the split `train`, `val` or `test`, or at most `samples` of it.

        A limited split keeps the classes' shares and the order of the whole; a larger one holds every smaller one.
        """
        part = "test" if name == "test" else "train"
        images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
        indices = np.arange(len(labels)) if name == "test" else np.asarray(getattr(self, f"{name}_indices"))
        if samples is not None and samples < len(indices):
            chosen = contents.stratified_order(labels[indices])[:samples]
            indices = indices[np.sort(chosen)]
        return Split(images, labels, indices)


def open_store(dataset: str) -> Store:
    """Open a prepared store; quick, since only arrays whose file was touched are read.

    Raises:
        DataError: the dataset is unknown, was not prepared, or its arrays are not those that were checked.
    """
    facts, manifest = _facts(dataset), layout.read_manifest(dataset)
    if manifest is None:
        raise DataError(f"{dataset} is not prepared: run `make data DATASET={dataset}`")
    if changed := layout.changed_arrays(manifest):
        raise DataError(
            f"{', '.join(f'data/{layout.relative(dataset, name)}' for name in changed)}: not what was checked when "
            f"{dataset} was prepared; run `make data DATASET={dataset}`"
        )
    return Store(facts, manifest, **_load(paths.DATA, dataset, (*IMAGES_AND_LABELS, *SPLITS)))


def prepare(dataset: str, source: Path | None = None) -> Store:
    """Make sure that a dataset's store is there and good, and open it; says what it does.

    A good store, every array of which is read, stays as it is, unless `source` names another one. Arrays in its layout
    without a manifest are checked and used. Otherwise the store is built from `source`, from where it came from before,
    or from the official download.

    Args:
        dataset: a name of the catalog.
        source: an official archive, its extracted folder or a folder of parquet files; None: see above.

    Raises:
        DataError: the dataset is unknown; its source is absent, damaged or not what the dataset should be; the disk is
            full. Nothing half-written is taken for good afterwards.
    """
    facts = _facts(dataset)
    paths.DATA.mkdir(parents=True, exist_ok=True)
    with (
        FileLock(paths.DATA / f".{dataset}.lock"),
        full_disk_as_data_error(dataset, paths.DATA),
        building_folder(facts) as folder,
    ):
        if source is not None and not _came_from(dataset, source):
            _build(facts, source, folder)
        elif manifest := layout.read_manifest(dataset):
            _confirm_or_repair(facts, manifest, folder)
        elif all((paths.DATA / layout.relative(dataset, name)).exists() for name in IMAGES_AND_LABELS):
            _adopt(facts, Origin("arrays"), folder)
        else:
            _build(facts, None, folder)
        return open_store(dataset)


def _facts(dataset: str) -> Dataset:
    if dataset not in CATALOG:
        raise DataError(f"no dataset {dataset!r}; choose from: {', '.join(CATALOG)}")
    return CATALOG[dataset]


def _came_from(dataset: str, source: Path) -> bool:
    try:
        manifest = layout.read_manifest(dataset)
    except DataError:
        return False
    return manifest is not None and manifest.origin.location in (str(source), str(source.resolve()))


def _load(folder: Path, dataset: str, names: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: layout.load_array(folder, dataset, name) for name in names}


def _confirm_or_repair(facts: Dataset, manifest: Manifest, folder: Path) -> None:
    changed = layout.changed_arrays(manifest, thorough=True)
    if not changed:
        layout.write_statistics(manifest)
        if (stamped := layout.stamped(manifest)) != manifest:
            layout.write_manifest(stamped)
        print(f"data/{facts.name}: ready")
    elif set(changed) <= set(SPLITS):
        _adopt(facts, manifest.origin, folder)
    elif manifest.origin.kind == "arrays":
        raise DataError(
            f"data/{layout.relative(facts.name, changed[0])} is not the array that was checked. Put that one back; or "
            f"remove data/{facts.name}.json to have the arrays checked anew; or name a source to build from"
        )
    else:
        print(f"data/{facts.name}: {', '.join(changed)} changed or gone")
        _build(facts, Path(manifest.origin.location) if manifest.origin.location else None, folder)


def _adopt(facts: Dataset, origin: Origin, folder: Path) -> None:
    print(f"data/{facts.name}: checking the arrays in {paths.DATA}")
    store = _candidate(facts, paths.DATA, folder, origin)
    _accept(store, folder, SPLITS)


def _build(facts: Dataset, path: Path | None, folder: Path) -> None:
    print(f"data/{facts.name}: building from {path or 'its own source'}")
    with open_source(facts, path, folder / "cache") as source:
        write_source(facts, source, folder)
        store = _candidate(facts, folder, folder, source.origin)
        _accept(store, folder, (*IMAGES_AND_LABELS, *SPLITS))


def _candidate(facts: Dataset, arrays_in: Path, folder: Path, origin: Origin) -> Store:
    """Split, measure and check the images and labels that lie in `arrays_in`; the splits are written below `folder`."""
    arrays = _load(arrays_in, facts.name, IMAGES_AND_LABELS)
    verify_arrays(facts, arrays, origin.where)
    for name, indices in zip(SPLITS, contents.split_indices(facts, arrays["train_labels"]), strict=True):
        write_array(folder / layout.relative(facts.name, name), indices.shape, indices.dtype, [indices])
    arrays |= _load(folder, facts.name, SPLITS)
    store = Store(facts, _describe(facts, origin, arrays), **arrays)
    if store.complete and origin.official is False:
        raise DataError(f"{origin.where} has as many images as {facts.title} and another checksum: damaged, or altered")
    if failed := [check for check in requirements(store) if not check.passed]:
        lines = "; ".join(f"{check.check}: expected {check.expected}, found {check.found}" for check in failed)
        raise DataError(f"{origin.where} is not {facts.title}: {lines}")
    return store


def _describe(facts: Dataset, origin: Origin, arrays: dict[str, np.ndarray]) -> Manifest:
    counts = contents.histogram(arrays["train_images"], arrays["train_indices"])
    statistics = contents.moments(counts, np.arange(256) / 255)
    digests = {name: contents.sha256(array) for name, array in arrays.items()}
    return Manifest(
        dataset=facts.name,
        complete=(len(arrays["train_labels"]), len(arrays["test_labels"])) == (facts.train, facts.test),
        origin=origin,
        arrays={name: layout.array_facts(array, digests[name]) for name, array in arrays.items()},
        digest=contents.combined_digest(digests),
        mean=tuple(statistics.mean.tolist()),
        std=tuple(statistics.std.tolist()),
        grey_train=contents.grey_images(arrays["train_images"]),
        grey_test=contents.grey_images(arrays["test_images"]),
    )


def _accept(store: Store, folder: Path, names: Iterable[str]) -> None:
    """Put checked arrays in place of whatever is there, then vouch for them.

    All old arrays go before the first new one comes, so what an interruption leaves is not a mixture. The old manifest
    stays until the new one takes its place: without one, any arrays that lie there would be checked and taken for good.
    """
    places = {name: paths.DATA / layout.relative(store.dataset.name, name) for name in names}
    for place in places.values():
        place.unlink(missing_ok=True)
    for name, place in places.items():
        place.parent.mkdir(exist_ok=True)
        (folder / layout.relative(store.dataset.name, name)).replace(place)
        files.sync(place)
    layout.write_statistics(store.manifest)
    layout.write_manifest(store.manifest)
