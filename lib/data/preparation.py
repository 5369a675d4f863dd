"""Preparing a store: its arrays are built in a folder beside it, checked there, and moved into place.

The manifest `data/<dataset>.json` is written last: a store is prepared if, and only if, it has a manifest that agrees
with its arrays.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from filelock import FileLock

from lib import files, paths
from lib.data import contents, layout
from lib.data.checks import requirements, verify_arrays
from lib.data.disk import full_disk_as_data_error
from lib.data.layout import IMAGES_AND_LABELS, SPLITS, Manifest, Origin
from lib.data.sources import open_source
from lib.data.statistics import write_statistics
from lib.data.store import Store, open_store
from lib.data.use import replaced
from lib.data.writing import building_folder, write_array, write_source
from lib.errors import DataError
from lib.study.datasets import Dataset, choose


def prepare(dataset: str, source: Path | None = None) -> Store:
    """Prepare a dataset's store unless it is good already, open it, and print what was done.

    All arrays of an existing store are read; a good store stays as it is, unless `source` is another than its own.
    Arrays without a manifest are checked and used. Otherwise the store is built from `source`, from its earlier source,
    or from the official download.

    Args:
        dataset: a name in `DATASETS`.
        source: an official archive, its extracted folder, or a folder of official, parquet or re-split files; None: see
            above.

    Raises:
        ParameterError: the dataset is unknown.
        DataError: the source is absent, damaged or not this dataset; the disk is full; or a run uses the store that
            would be replaced. No incomplete store is left that could be opened.
    """
    facts = choose(dataset)
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


def _came_from(dataset: str, source: Path) -> bool:
    try:
        manifest = layout.read_manifest(dataset)
    except DataError:
        return False
    return manifest is not None and manifest.origin.location in (str(source), str(source.resolve()))


def _confirm_or_repair(facts: Dataset, manifest: Manifest, folder: Path) -> None:
    changed = layout.changed_arrays(manifest, thorough=True)
    if not changed:
        write_statistics(manifest)
        if (stamped := layout.stamped(manifest)) != manifest:
            layout.write_manifest(stamped)
        print(f"data/{facts.name}: ready")
    elif set(changed) <= set(SPLITS):
        _adopt(facts, manifest.origin, folder)
    elif manifest.origin.kind == "arrays":
        raise DataError(
            f"data/{layout.relative(facts.name, changed[0])} has changed since it was checked. Put back the original "
            f"file, or remove data/{facts.name}.json to have the arrays checked again, or name a source to build from"
        )
    else:
        print(f"data/{facts.name}: {', '.join(changed)} changed or missing")
        _build(facts, Path(manifest.origin.location) if manifest.origin.location else None, folder)


def _adopt(facts: Dataset, origin: Origin, folder: Path) -> None:
    """Check the images and labels in `data/` and use them; only the splits are written."""
    with replaced(facts.name):
        print(f"data/{facts.name}: checking the arrays in {paths.DATA}")
        _accept(_candidate(facts, paths.DATA, folder, origin), folder, SPLITS)


def _build(facts: Dataset, path: Path | None, folder: Path) -> None:
    with replaced(facts.name):
        print(f"data/{facts.name}: building from {path or facts.library or 'the official download'}")
        with open_source(facts, path, folder / "cache") as source:
            write_source(facts, source, folder)
            _accept(_candidate(facts, folder, folder, source.origin), folder, (*IMAGES_AND_LABELS, *SPLITS))


def _candidate(facts: Dataset, arrays_in: Path, folder: Path, origin: Origin) -> Store:
    """Split, measure and check the images and labels in `arrays_in`; the splits are written below `folder`."""
    arrays = {name: layout.load_array(arrays_in, facts.name, name) for name in IMAGES_AND_LABELS}
    verify_arrays(facts, arrays, origin.where)
    for name, indices in zip(SPLITS, contents.split_indices(facts, arrays["train_labels"]), strict=True):
        write_array(folder / layout.relative(facts.name, name), indices.shape, indices.dtype, [indices])
        arrays[name] = layout.load_array(folder, facts.name, name)
    store = Store(facts, _describe(facts, origin, arrays), **arrays)
    if store.complete and origin.official is False:
        raise DataError(f"{origin.where} has as many images as {facts.title} and another checksum: damaged, or altered")
    if failed := [check for check in requirements(store) if not check.passed]:
        lines = "; ".join(f"{check.check}: expected {check.expected}, found {check.found}" for check in failed)
        raise DataError(f"{origin.where} is not {facts.title}: {lines}")
    return store


def _describe(facts: Dataset, origin: Origin, arrays: dict[str, np.ndarray]) -> Manifest:
    counts = contents.histogram(arrays["train_images"], arrays["train_indices"])
    moments = contents.moments(counts, np.arange(256) / 255)
    digests = {name: contents.sha256(array) for name, array in arrays.items()}
    return Manifest(
        dataset=facts.name,
        complete=(len(arrays["train_labels"]), len(arrays["test_labels"])) == (facts.train, facts.test),
        origin=origin,
        arrays={name: layout.array_facts(array, digests[name]) for name, array in arrays.items()},
        digest=contents.combined_digest(digests),
        mean=tuple(moments.mean.tolist()),
        std=tuple(moments.std.tolist()),
        grey_train=contents.grey_images(arrays["train_images"]),
        grey_test=contents.grey_images(arrays["test_images"]),
    )


def _accept(store: Store, folder: Path, names: Iterable[str]) -> None:
    """Move checked arrays into place, replacing older ones, then write the manifest.

    All old arrays are removed before the first new one is moved, so that an interruption leaves no mixture. The old
    manifest stays until the new one replaces it: arrays without a manifest would be checked and used.
    """
    places = {name: paths.DATA / layout.relative(store.dataset.name, name) for name in names}
    for place in places.values():
        place.unlink(missing_ok=True)
    for name, place in places.items():
        place.parent.mkdir(exist_ok=True)
        (folder / layout.relative(store.dataset.name, name)).replace(place)
        files.sync(place)
    write_statistics(store.manifest)
    layout.write_manifest(store.manifest)
