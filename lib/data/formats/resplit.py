"""A re-split dataset: all its images in one parquet file, and two CSV files that divide them anew into train and test.

`data.parquet` has encoded images and labels; `train.csv` and `test.csv` have the columns `index`, the row in
`data.parquet`, and `label`. Any dataset can come in this format. Its test images are not the official ones.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.archives import Part
from lib.data.formats import parquet
from lib.errors import DataError
from lib.study.datasets import Dataset

IMAGES = "data.parquet"


def read(dataset: Dataset, folder: Path, cache: str) -> tuple[Part, Part]:
    """Return the two parts that the CSV files name; `cache` is a folder for the `datasets` library.

    Raises:
        DataError: a file is absent or cannot be read, or the files contradict each other.
    """
    where = str(folder / IMAGES)
    table = parquet.load("parquet", where, data_files=where, cache_dir=cache)["train"]
    rows = {name: _rows(folder / name, len(table)) for name in ("train.csv", "test.csv")}
    both = np.intersect1d(*(frame["index"] for frame in rows.values()))
    if both.size:
        raise DataError(f"{folder}: train.csv and test.csv both list row {both[0]} of {IMAGES}")
    train, test = (_part(dataset, table, folder / name, frame) for name, frame in rows.items())
    return train, test


def _part(dataset: Dataset, table: object, file: Path, listed: pd.DataFrame) -> Part:
    part = parquet.part(dataset, table, str(file.with_name(IMAGES)), listed["index"].to_numpy())
    if (other := np.flatnonzero(part.labels != listed["label"])).size:
        row, label = listed.iloc[other[0]][["index", "label"]]
        raise DataError(f"{file}: row {row} has the label {label}, and {part.labels[other[0]]} in {IMAGES}")
    return part


def _rows(file: Path, images: int) -> pd.DataFrame:
    """Return a CSV file's columns `index` and `label`: whole numbers, each index a row of `images` and listed once."""
    try:
        frame = pd.read_csv(file)
    except FileNotFoundError:
        raise DataError(f"{file} does not exist") from None
    except ValueError as error:  # pandas' own errors, and bytes that are no text
        raise DataError(f"{file} cannot be read: {error}") from error
    for column in ("index", "label"):
        if column not in frame:
            raise DataError(f"{file} has the columns {', '.join(frame.columns)}, and none named {column}")
        if not pd.api.types.is_integer_dtype(frame[column]):
            raise DataError(f"{file}: the column {column} holds something else than whole numbers")
    index = frame["index"]
    if (absent := index[(index < 0) | (index >= images)]).size:
        raise DataError(f"{file} lists row {absent.iloc[0]}, and {IMAGES} has {images:,} rows, counted from 0")
    if (twice := index[index.duplicated()]).size:
        raise DataError(f"{file} lists row {twice.iloc[0]} twice")
    return frame
