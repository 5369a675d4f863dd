"""The epoch log of a run, `epochs.csv`: its columns, how it is written, and how it is read."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib import files
from lib.errors import DataError

if TYPE_CHECKING:
    import pandas as pd  # elsewhere inside functions: plan and status, which read no log, would wait for half a second

COLUMNS = {
    "epoch": "int64",
    "train_loss": "float64",
    "train_accuracy": "float64",
    "val_loss": "float64",
    "val_accuracy": "float64",
    "val_macro_f1": "float64",
    "epoch_time_seconds": "float64",
    "learning_rate": "float64",
}
"""The columns of an epoch log, each with its type: losses in nats, accuracies and F1 as shares in [0, 1].

The train loss and accuracy are means over the epoch's steps, on augmented images; the accuracy is against the hard
labels. The time is that of training without validation, and the learning rate that of the epoch's last step.
"""

MEASURED = {"test_accuracy": "float64"}
"""The columns of a log whose run measures them after every epoch (`measurements.test_each_epoch`)."""


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write an epoch log whole or not at all, one row per epoch."""
    import pandas as pd

    with files.replacing(path) as temporary:
        pd.DataFrame(rows, columns=columns(rows)).to_csv(temporary, index=False)


def columns(rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the columns that rows of a log have: `COLUMNS`, and those of `MEASURED` that are in every row."""
    rows = list(rows)
    return [*COLUMNS, *(name for name in MEASURED if rows and all(name in row for row in rows))]


def read(path: Path) -> "pd.DataFrame":
    """Read an epoch log strictly, one row per epoch with its `columns`; NaN passes, for a gate to show.

    Raises:
        DataError: the columns are others, text stands for a number, or the epochs do not count from 1 without a gap.
    """
    import pandas as pd

    try:
        log = pd.read_csv(path, float_precision="round_trip", dtype=COLUMNS | MEASURED)
    except ValueError as error:
        raise DataError(f"{path}: not an epoch log: {error}") from None
    if set(log.columns) - set(MEASURED) != set(COLUMNS):
        raise DataError(f"{path}: its columns are {', '.join(log.columns)}; they must be {', '.join(COLUMNS)}")
    log = log[columns([log.columns])]
    if log["epoch"].tolist() != list(range(1, len(log) + 1)) or log.empty:
        raise DataError(f"{path}: the epochs must count 1, 2, 3 and so on without a gap")
    return log
