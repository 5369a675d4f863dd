"""Tables that a run leaves as CSV files: written whole or not at all, and read strictly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lib import files
from lib.errors import DataError


def write(path: Path, rows: list[dict[str, Any]], columns: Mapping[str, str]) -> None:
    """Write rows whole or not at all, with these columns."""
    with files.replacing(path) as temporary:
        pd.DataFrame(rows, columns=list(columns)).to_csv(temporary, index=False)


def read(path: Path, columns: Mapping[str, str], what: str) -> pd.DataFrame:
    """Read what `write` wrote, with these columns and their types; an error says `what` should be there.

    Raises:
        DataError: the columns are others, or text stands for a number.
    """
    try:
        table = pd.read_csv(path, float_precision="round_trip")
        if set(table.columns) != set(columns):
            raise DataError(f"{path}: its columns are {', '.join(table.columns)}; they must be {', '.join(columns)}")
        return table[list(columns)].astype(columns)
    except ValueError as error:
        raise DataError(f"{path}: not {what}: {error}") from None
