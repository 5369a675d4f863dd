"""Tables that take long to compute, kept in a file with the digest of what they were computed from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from lib import files
from lib.errors import DataError


def table(
    path: Path, digest: str, answer: Callable[[], pd.DataFrame], fresh: bool = False
) -> tuple[pd.DataFrame, bool]:
    """Return a table and whether it was kept; one of another digest, or damaged, is computed and kept.

    With `fresh` it is computed in any case.
    """
    if not fresh and (kept := _read(path, digest)) is not None:
        return kept, True
    found = answer()
    files.write_sealed(path, {"digest": digest, "columns": _packed(found)})
    return found, False


def _read(path: Path, digest: str) -> pd.DataFrame | None:
    try:
        content = files.read_sealed(path)
    except (OSError, DataError):
        return None
    return _unpacked(content["columns"]) if content.get("digest") == digest else None


def _packed(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return a table's columns as JSON can hold them; a missing value is None."""
    return {
        name: {"type": str(column.dtype), "values": column.astype(object).where(column.notna(), None).tolist()}
        for name, column in table.items()
    }


def _unpacked(columns: dict[str, dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(column["values"], dtype=column["type"]) for name, column in columns.items()})
