"""Prepare a dataset from the command line: `python -m lib.data DATASET [--source PATH]`."""

import argparse
from pathlib import Path

from lib import errors
from lib.data.checks import OFFICIAL_COUNTS, checks
from lib.data.preparation import prepare
from lib.data.store import Store
from lib.errors import DataError
from lib.study.datasets import DATASETS


def main() -> None:
    """Prepare the dataset that the command line names, and print its checks."""
    parser = argparse.ArgumentParser(prog="python -m lib.data", description="Prepare a dataset's store in data/.")
    parser.add_argument("dataset", help=", ".join(DATASETS))
    parser.add_argument("--source", type=_path, help="an official archive, its extracted folder, or a folder of files")
    arguments = parser.parse_args()
    with errors.one_line():
        report(prepare(arguments.dataset, arguments.source))


def _path(text: str) -> Path:
    """Return the path with a leading `~` resolved: some shells do not resolve it after a `=`."""
    return Path(text).expanduser()


def report(store: Store) -> None:
    """Print a store's checks, one a line, and whether it is the whole dataset.

    Raises:
        DataError: a check failed.
    """
    rows = list(checks(store).itertuples())
    for row in rows:
        print(f"  {'ok' if row.passed else 'NO':3}{row.check:28}{row.found:36}expected {row.expected}")
    if not store.complete:
        print(f"  note: this is a part of {store.dataset.title}, good for trials and tests, not for published numbers")
    if store.resplit:
        print(f"  note: this {store.dataset.title} is re-split: its test images are not the official ones")
    if failed := [row.check for row in rows if not row.passed and row.check != OFFICIAL_COUNTS]:
        raise DataError(f"data/{store.dataset.name} failed the checks: {', '.join(failed)}")


if __name__ == "__main__":
    main()
