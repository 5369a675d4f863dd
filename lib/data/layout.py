"""The files of a store: six arrays, and a manifest that records what they are."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from lib import files, paths
from lib.data import contents
from lib.errors import DataError

IMAGES_AND_LABELS = ("train_images", "train_labels", "test_images", "test_labels")
SPLITS = ("train_indices", "val_indices")


@dataclass(frozen=True)
class Origin:
    """Where a store's images came from; `official`: whether an archive had the official checksum (None: no archive)."""

    kind: str
    location: str | None = None
    official: bool | None = None

    @property
    def where(self) -> str:
        """The origin as an error names it."""
        return self.location or (f"the arrays in {paths.DATA}" if self.kind == "arrays" else self.kind)


class ArrayFacts(BaseModel):
    """One array: `sha256` is of its shape and values; `bytes` and `mtime_ns` of its file are quick to compare."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    shape: tuple[int, ...]
    dtype: str
    sha256: str
    bytes: int
    mtime_ns: int


class Manifest(BaseModel):
    """What a prepared store is; `mean` and `std` have one number per channel. It is written last, after all checks."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dataset: str
    complete: bool
    origin: Origin
    arrays: dict[str, ArrayFacts]
    digest: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey_train: int
    grey_test: int


def relative(dataset: str, array: str) -> str:
    """Return the name of one array's file relative to `data/`."""
    name = f"{dataset}_{array}.npy"
    return f"{paths.SPLITS.name}/{name}" if array in SPLITS else name


def load_array(folder: Path, dataset: str, array: str) -> np.ndarray:
    """Map one array of a store into memory; `DataError` if its file is absent, truncated or no array."""
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
    """Return the arrays that differ from the manifest; only files of another size or time are read, or all of them."""
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
    """Return a confirmed manifest with the present sizes and times of its files, so that the next check is quick."""
    arrays = {name: load_array(paths.DATA, manifest.dataset, name) for name in manifest.arrays}
    facts = {name: array_facts(array, manifest.arrays[name].sha256) for name, array in arrays.items()}
    return manifest.model_copy(update={"arrays": facts})


def read_manifest(dataset: str) -> Manifest | None:
    """Return a dataset's manifest, or None if it has none.

    Raises:
        DataError: the manifest was damaged or edited, or another version of this code wrote it.
    """
    try:
        return Manifest.model_validate_json(json.dumps(files.read_sealed(paths.manifest(dataset))))
    except FileNotFoundError:
        return None
    except (DataError, ValidationError) as error:
        why = str(error) if isinstance(error, DataError) else "another version of this code wrote it"
        raise DataError(
            f"data/{dataset}.json cannot be used: {why}. Put back the original file, or remove it to have the arrays "
            "checked again, or name a source to build from"
        ) from None


def write_manifest(manifest: Manifest) -> None:
    """Write a manifest with its checksum: from now on the store is prepared."""
    files.write_sealed(paths.manifest(manifest.dataset), manifest.model_dump(mode="json"))
