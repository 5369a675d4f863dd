"""The files of a store: six arrays, a manifest that vouches for them, an entry in `params/dataset_stats.yaml`."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lib import files, paths
from lib.data import contents
from lib.data.sources import Origin
from lib.errors import DataError

IMAGES_AND_LABELS = ("train_images", "train_labels", "test_images", "test_labels")
SPLITS = ("train_indices", "val_indices")

STATISTICS_HEADER = """\
# Per-channel mean and standard deviation of each train split (val excluded), on pixels scaled to [0, 1].
# Written by `python -m lib.data`; runs read their store's own manifest, which this file must agree with.
"""

Triple = tuple[float, float, float]


class Statistics(BaseModel):
    """One dataset's entry of `params/dataset_stats.yaml`."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    std: Annotated[list[float], Field(min_length=3, max_length=3)]


_STATISTICS = TypeAdapter(dict[str, Statistics])


class ArrayFacts(BaseModel):
    """What is known of one array: `sha256` of shape and values; `bytes` and `mtime_ns` of its file, quick to test."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    shape: tuple[int, ...]
    dtype: str
    sha256: str
    bytes: int
    mtime_ns: int


class Manifest(BaseModel):
    """What a prepared store is: written last, and only when everything it says has been checked."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dataset: str
    complete: bool
    origin: Origin
    arrays: dict[str, ArrayFacts]
    digest: str
    mean: Triple
    std: Triple
    grey_train: int
    grey_test: int


def relative(dataset: str, array: str) -> str:
    """Return the name of one array's file relative to `data/`."""
    name = f"{dataset}_{array}.npy"
    return f"{paths.SPLITS.name}/{name}" if array in SPLITS else name


def load_array(folder: Path, dataset: str, array: str) -> np.ndarray:
    """Map one array of a store into memory; `DataError` where its file is absent, truncated or no array."""
    path = folder / relative(dataset, array)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is no whole NumPy array ({error})") from error


def array_facts(array: np.memmap, sha256: str) -> ArrayFacts:
    """Return the facts of an array that is mapped from its file."""
    status = Path(array.filename).stat()
    return ArrayFacts(
        shape=array.shape, dtype=str(array.dtype), sha256=sha256, bytes=status.st_size, mtime_ns=status.st_mtime_ns
    )


def changed_arrays(manifest: Manifest, thorough: bool = False) -> list[str]:
    """Return the arrays that are not what the manifest says; contents are read where size or time differ, or all."""
    return [name for name, facts in manifest.arrays.items() if not _unchanged(manifest.dataset, name, facts, thorough)]


def _unchanged(dataset: str, name: str, facts: ArrayFacts, thorough: bool) -> bool:
    try:
        array = load_array(paths.DATA, dataset, name)
    except DataError:
        return False
    present = array_facts(array, facts.sha256)
    return (present == facts and not thorough) or (
        (present.shape, present.dtype) == (facts.shape, facts.dtype) and contents.sha256(array) == facts.sha256
    )


def stamped(manifest: Manifest) -> Manifest:
    """Return a confirmed manifest with the present sizes and times of its files, so that the next look is quick."""
    arrays = {name: load_array(paths.DATA, manifest.dataset, name) for name in manifest.arrays}
    facts = {name: array_facts(array, manifest.arrays[name].sha256) for name, array in arrays.items()}
    return manifest.model_copy(update={"arrays": facts})


def manifest_path(dataset: str) -> Path:
    """Return where a dataset's manifest is."""
    return paths.DATA / f"{dataset}.json"


def read_manifest(dataset: str) -> Manifest | None:
    """Return a dataset's manifest, or None where there is none.

    Raises:
        DataError: the manifest was damaged or edited, or another version of this code wrote it.
    """
    try:
        return Manifest.model_validate_json(json.dumps(files.read_sealed(manifest_path(dataset))))
    except FileNotFoundError:
        return None
    except (DataError, ValidationError) as error:
        why = str(error) if isinstance(error, DataError) else "another version of this code wrote it"
        raise DataError(
            f"data/{dataset}.json vouches for nothing: {why}. Remove it to have the arrays checked anew; or name a "
            "source to build from; or put back the one that was written"
        ) from None


def write_manifest(manifest: Manifest) -> None:
    """Write a manifest, sealed: from now on it vouches for its arrays."""
    files.write_sealed(manifest_path(manifest.dataset), manifest.model_dump(mode="json"))


def read_statistics() -> dict[str, dict[str, list[float]]]:
    """Return `params/dataset_stats.yaml`: by dataset, `mean` and `std` of the three channels."""
    path = paths.PARAMS / "dataset_stats.yaml"
    try:
        content = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}
        return {name: entry.model_dump() for name, entry in _STATISTICS.validate_python(content).items()}
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(
            f"params/{path.name} does not hold a mean and a std of three numbers for each dataset; remove it, "
            f"and `make data` writes it anew ({error})"
        ) from error


def write_statistics(manifest: Manifest) -> None:
    """Write one dataset's entry of `params/dataset_stats.yaml`, and nothing where it is there already."""
    entry = {"mean": list(manifest.mean), "std": list(manifest.std)}
    with FileLock(paths.DATA / ".dataset_stats.lock"):
        statistics = read_statistics()
        if statistics.get(manifest.dataset) != entry:
            statistics[manifest.dataset] = entry
            text = STATISTICS_HEADER + yaml.safe_dump(dict(sorted(statistics.items())))
            files.write_text(paths.PARAMS / "dataset_stats.yaml", text)
