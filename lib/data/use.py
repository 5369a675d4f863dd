"""The locks that keep a store as it is while runs train on it; the operating system releases them with the process."""

from contextlib import AbstractContextManager
from pathlib import Path

from lib import files, paths
from lib.errors import DataError


def used(dataset: str) -> AbstractContextManager[None]:
    """Keep a store from being replaced during the block, as any number of processes may at once.

    Raises:
        DataError: it is being replaced.
    """
    again = DataError(f"data/{dataset} is being replaced: wait for its `make data`, then run this again")
    return files.shared(_lock(dataset), again)


def replaced(dataset: str) -> AbstractContextManager[None]:
    """Keep runs from beginning to use a store during the block, in which it is replaced.

    Raises:
        DataError: a run or a sweep uses it.
    """
    refusal = DataError(f"data/{dataset} is in use by a run or a sweep and is not replaced: wait for it, or stop it")
    return files.held(_lock(dataset), refusal)


def _lock(dataset: str) -> Path:
    """Return the lock's path, beside the runs, since `data/` may be read-only."""
    return paths.EXECUTED / f".{dataset}.lock"
