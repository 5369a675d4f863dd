"""A project in miniature, `rehearsal/`, in which a study's whole matrix can run on little data.

`python -m lib.sweep.rehearsal` copies the chapters and parameters there, and writes small stores: some images of each
class from a prepared store, or generated images where there is none. With `PAIRED_ROOT` set to that folder every
command works in it, so that its runs and reports stay apart from the real ones.
"""

import shutil
from pathlib import Path

import numpy as np

from lib import files, paths
from lib.data import generated
from lib.data.store import Split, open_store
from lib.errors import one_line
from lib.study.datasets import DATASETS, Dataset

FOLDER = paths.ROOT / "rehearsal"
TRAIN_PER_CLASS, TEST_PER_CLASS = 5, 2


def prepare() -> None:
    """Make the folder, or update its chapters and parameters; its stores and runs stay."""
    for name in ("notebooks", "params"):
        shutil.copytree(paths.ROOT / name, FOLDER / name, dirs_exist_ok=True)
    shutil.copy(paths.ROOT / "Snakefile", FOLDER)
    for dataset in DATASETS.values():
        if not dataset.library and not (FOLDER / f"data/{dataset.name}_train_images.npy").exists():
            _write_stand_in(dataset, FOLDER / "data")


def _write_stand_in(dataset: Dataset, folder: Path) -> None:
    real = paths.manifest(dataset.name).exists()
    print(f"{dataset.name}: {'some images of the prepared store' if real else 'generated images'} as a stand-in")
    for part, per_class in {"train": TRAIN_PER_CLASS, "test": TEST_PER_CLASS}.items():
        images, labels = _some(dataset, part, per_class) if real else generated.images(dataset, part, per_class)
        for kind, array in {"labels": labels, "images": images}.items():
            with files.replacing(folder / f"{dataset.name}_{part}_{kind}.npy") as path:
                np.save(path, array)


def _some(dataset: Dataset, part: str, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Take the first images of each class, (n, H, W, 3) and (n,)."""
    split: Split = open_store(dataset.name).split(part)
    labels = split.labels[split.indices]
    chosen = [split.indices[labels == label][:per_class] for label in range(dataset.classes)]
    indices = np.sort(np.concatenate(chosen))
    return split.images[indices], split.labels[indices]


if __name__ == "__main__":
    with one_line():
        prepare()
