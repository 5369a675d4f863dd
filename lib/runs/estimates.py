"""Estimates of how long runs take, from timed steps, by the runs' names: written before the first run of a kind."""

from lib import files, paths
from lib.errors import DataError


def write(seconds: dict[str, float]) -> None:
    """Keep the estimated seconds of runs, and those of other runs."""
    files.write_sealed(paths.EXECUTED / ".estimates.json", read() | seconds)


def read() -> dict[str, float]:
    """Return the estimated seconds of runs on this machine, by their names; nothing where there is no good file."""
    try:
        return files.read_sealed(paths.EXECUTED / ".estimates.json")
    except (OSError, DataError):
        return {}
