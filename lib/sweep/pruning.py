"""Remove what no run needs any more: `python -m lib.sweep.pruning`, which lists it, and with `--yes` removes it."""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lib import errors, files, paths
from lib.runs import records
from lib.runs.state import WITH_RESULTS, state
from lib.study.cells import Cell
from lib.study.loading import every_study

_LOCK = ".lock"


class Leftover(NamedTuple):
    """A file or a folder, why it is not needed, and its bytes."""

    path: Path
    why: str
    size: int


def leftovers() -> list[Leftover]:
    """Return the runs that no study names, unfinished trainings of runs with results, and files half written.

    What a process holds is left out.

    Raises:
        ParameterError: a study cannot be read, so that its runs are not known.
    """
    cells = {cell.name: cell for study in every_study() for cell in study.cells}
    marks = ("record.json", "status.json", "console.log")
    folders = {path.parent for mark in marks for path in paths.EXECUTED.glob(f"*/{mark}")}
    idle = [folder for folder in sorted(folders) if not files.is_held(folder / _LOCK)]
    return [
        Leftover(path, why, _size(path)) for folder in idle for path, why in _in_folder(folder, cells.get(folder.name))
    ]


def _in_folder(folder: Path, cell: Cell | None) -> Iterator[tuple[Path, str]]:
    if cell is None:
        yield folder, "no study names this run"
        return
    if records.unfinished(cell).exists() and state(cell).kind in WITH_RESULTS:
        yield records.unfinished(cell), "the run has a result"
    for path in sorted(folder.glob(".*")):
        if path.name != _LOCK:
            yield path, "half written"


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if not file.is_dir())


def main() -> None:
    """Read the command line, and list or remove."""
    parser = argparse.ArgumentParser(prog="python -m lib.sweep.pruning", description="Remove what no run needs.")
    parser.add_argument("--yes", action="store_true", help="remove what is listed")
    remove = parser.parse_args().yes
    with errors.one_line():
        found = leftovers()
        for path, why, size in found:
            print(f"  {path.relative_to(paths.ROOT)}  {size / 2**20:,.1f} MiB  {why}")
            if remove:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        verb = "removed" if remove else "to remove: make prune YES=1"
        print(f"{len(found)} items, {sum(one.size for one in found) / 2**20:,.1f} MiB {verb}")


if __name__ == "__main__":
    main()
