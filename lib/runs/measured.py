"""What `make bench` measures on a machine, written and read: `executed/.bench/<study>.json`."""

from pathlib import Path
from typing import Any

from lib import files, paths
from lib.errors import DataError


def path(study_name: str) -> Path:
    """Return the path of the measurements with a study's cells."""
    return paths.EXECUTED / ".bench" / f"{study_name}.json"


def write(study_name: str, content: dict[str, Any]) -> None:
    """Write the measurements, whole or not at all: tables as lists of rows, and facts on the machine."""
    files.write_sealed(path(study_name), content)


def read(study_name: str) -> dict[str, Any]:
    """Return the measurements.

    Raises:
        DataError: there are none, or they are damaged.
    """
    try:
        return files.read_sealed(path(study_name))
    except FileNotFoundError:
        raise DataError(f"nothing was measured with {study_name}: run `make bench STUDY={study_name}`") from None
