"""What a run measures of its activation layers, `layers.csv`: its columns, how it is written, and how it is read."""

from pathlib import Path
from typing import Any

import pandas as pd

from lib.runs import tables

COLUMNS = {
    "epoch": "int64",
    "depth": "int64",
    "layer": "str",
    "activation": "str",
    "units": "int64",
    "dead": "int64",
    "dormant": "int64",
    "saturated": "int64",
    "scale": "float64",
    "gradient": "float64",
}
"""The columns, each with its type: one row per layer and measured epoch, epoch 0 before the training.

`depth` counts the layers from 1 in the order of the forward pass, `layer` and `activation` name the module and its
kind. A unit is a channel of a convolution or a feature. `dead` units are zero on every image (Lu et al. 2019, arXiv
1903.06733). `dormant` units have a mean absolute activation of at most 0.025 times the mean over their layer (Sokar et
al. 2023, arXiv 2302.12902, definition 3.1). `saturated` units have a slope of at most 0.02 on every image. `scale` is
the root mean square of the layer's output, and `gradient` that of the gradient with respect to it of the sum of the
images' losses.
"""


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the measurements whole or not at all, by epoch and depth."""
    tables.write(path, sorted(rows, key=lambda row: (row["epoch"], row["depth"])), COLUMNS)


def read(path: Path) -> pd.DataFrame:
    """Read what `write` wrote, with the columns `COLUMNS`.

    Raises:
        DataError: the columns are others, or text stands for a number.
    """
    return tables.read(path, COLUMNS, "a table of layers")
