"""Remove what no run needs any more: `python -m lib.sweep.pruning`, which lists it, and with `--yes` removes it."""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lib import errors, paths
from lib.runs.state import LOCK, RunIsHeld, claimed, held, unneeded
from lib.study.cells import Cell
from lib.study.loading import every_study


class Leftover(NamedTuple):
    """A file or a folder, why it is not needed, and its bytes."""

    path: Path
    why: str
    size: int


def leftovers() -> Iterator[Leftover]:
    """Yield the runs that no study names, what finished runs do not need, and files half written.

    Each run is held while what it has is yielded, so that it can be removed; what another process holds is left out.

    Raises:
        ParameterError: a study cannot be read, so that its runs are not known.
    """
    cells = {cell.name: cell for study in every_study() for cell in study.cells}
    marks = ("record.json", "status.json", "console.log")
    for folder in sorted({path.parent for mark in marks for path in paths.EXECUTED.glob(f"*/{mark}")}):
        cell = cells.get(folder.name)
        with suppress(RunIsHeld), claimed(cell) if cell else held(folder):
            for path, why in _in_folder(folder, cell):
                yield Leftover(path, why, _size(path))


def _in_folder(folder: Path, cell: Cell | None) -> Iterator[tuple[Path, str]]:
    if cell is None:
        yield folder, "no study names this run"
        return
    yield from ((path, "the run has a result") for path in unneeded(cell))
    yield from ((path, "half written") for path in sorted(folder.glob(".*")) if path.name != LOCK)


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if not file.is_dir())


def main() -> None:
    """Read the command line, and list or remove."""
    parser = argparse.ArgumentParser(prog="python -m lib.sweep.pruning", description="Remove what no run needs.")
    parser.add_argument("--yes", action="store_true", help="remove what is listed")
    remove = parser.parse_args().yes
    with errors.one_line():
        sizes = []
        for path, why, size in leftovers():
            print(f"  {path.relative_to(paths.ROOT)}  {size / 2**20:,.1f} MiB  {why}")
            sizes.append(size)
            if remove:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        verb = "removed" if remove else "to remove: make prune YES=1"
        print(f"{len(sizes)} items, {sum(sizes) / 2**20:,.1f} MiB {verb}")


if __name__ == "__main__":
    main()
