"""Parquet files in the layout of the `datasets` library: a column of encoded images and a column of labels.

Any dataset can come in this format, from a folder or from the Hugging Face hub.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lib.data.archives import Part
from lib.data.disk import is_full_disk
from lib.data.images import decode
from lib.errors import DataError
from lib.study.datasets import Dataset

_TEST_NAMES = ("test", "valid", "validation")


def files_below(path: Path) -> dict[str, list[str]] | None:
    """Return the parquet files of the train and the test part in `path` or `path/data`, or None.

    A `valid` part is the test part of a dataset whose official test labels are not public.
    """
    for folder in (path / "data", path):
        train = sorted(map(str, folder.glob("train-*.parquet")))
        test = [sorted(map(str, folder.glob(f"{name}-*.parquet"))) for name in _TEST_NAMES]
        if train and any(test):
            return {"train": train, "test": next(filter(None, test))}
    return None


def read(dataset: Dataset, name: str, where: str, **options: object) -> tuple[Part, Part]:
    """Load both parts with `datasets.load_dataset(name, **options)`; `where` names the source in an error."""
    loaded = load(name, where, **options)
    test = next(part for part in _TEST_NAMES if part in loaded)
    return part(dataset, loaded["train"], f"{where}: train"), part(dataset, loaded[test], f"{where}: {test}")


def load(name: str, where: str, **options: object) -> Any:
    """Return the tables of `datasets.load_dataset(name, **options)`; `DataError` if they cannot be read."""
    import datasets  # slow to import, and only needed here

    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(name, **options)
    except Exception as error:  # the library passes on what pyarrow, fsspec and the network raise
        cause = error.__cause__ or error
        if is_full_disk(cause):
            raise cause from error
        raise DataError(f"{where} cannot be read: {cause}") from error


def part(dataset: Dataset, table: Any, where: str, rows: np.ndarray | None = None) -> Part:
    """Return a table's labels and images, or those of some `rows`.

    The images are decoded here and not by the library, so that an error can name the row.
    """
    import datasets

    image = _column(table.column_names, ("img", "image"), where)
    label = _column(table.column_names, ("fine_label", "label"), where)
    chosen = np.arange(len(table)) if rows is None else rows
    table = table.select(chosen)
    labels = np.asarray(table.with_format("numpy")[label][:])
    encoded = table.select_columns(image).cast_column(image, datasets.Image(decode=False))
    cells = zip(chosen, (row[image]["bytes"] for row in encoded), strict=True)
    return Part(labels, (decode(content, dataset.shape, f"{where}, row {number}") for number, content in cells))


def _column(present: list[str], choices: tuple[str, ...], where: str) -> str:
    for choice in choices:
        if choice in present:
            return choice
    raise DataError(f"{where} has the columns {', '.join(present)}, and none named {' or '.join(choices)}")
