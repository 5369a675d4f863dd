"""Prepare a dataset from the command line: `python -m lib.data DATASET [--source PATH]`."""

import argparse
from pathlib import Path

from lib import errors
from lib.data.catalog import CATALOG
from lib.data.store import Store, checks, prepare


def main() -> None:
    """Prepare the dataset that the command line names, and print its checks."""
    parser = argparse.ArgumentParser(prog="python -m lib.data", description="Prepare a dataset's store in data/.")
    parser.add_argument("dataset", help=", ".join(CATALOG))
    parser.add_argument(
        "--source", type=_path, help="an official archive, its extracted folder, or a folder of parquet files"
    )
    arguments = parser.parse_args()
    with errors.one_line():
        report(prepare(arguments.dataset, arguments.source))


def _path(text: str) -> Path:
    """Return the path, a leading `~` resolved, which not every shell does behind a `=`."""
    return Path(text).expanduser()


def report(store: Store) -> None:
    """Print a store's checks, one a line, and whether it is the whole dataset."""
    for row in checks(store).itertuples():
        print(f"  {'ok' if row.passed else 'NO':3}{row.check:28}{row.found:36}expected {row.expected}")
    if not store.complete:
        print(f"  note: this is a part of {store.dataset.title}, good for trials and tests, not for published numbers")


if __name__ == "__main__":
    main()
