"""Whether the disk has room for runs of a study: `python -m lib.bench.disk STUDY RUN ...`, which a sweep calls first.

It is a process of its own, since counting a network's parameters needs its framework.
"""

import argparse
import shutil
from collections.abc import Sequence

from lib import paths
from lib.bench.cost import resume_gib, run_gib
from lib.errors import UserError, one_line
from lib.study.cells import Cell
from lib.study.loading import load_study

NOTES_GIB = 2**-10
"""What a run leaves beside its weights and logits: the executed notebook, its log and its tables, a mebibyte in all."""


def runs_gib(cells: Sequence[Cell]) -> float:
    """Return the GiB that the cells' runs leave."""
    return sum(run_gib(cell) + NOTES_GIB for cell in cells)


def require_room(study: str, cells: Sequence[Cell], at_once: int) -> None:
    """Require room for what the cells' runs leave, and for the resume states of as many as run at once.

    Raises:
        UserError: the disk of `executed/` has less; the message says how much, and what to do.
    """
    kept, under_way, free = runs_gib(cells), at_once * resume_gib(cells), free_gib()
    if kept + under_way > free:
        raise UserError(
            f"{study} needs {_shown(kept + under_way)} in {paths.EXECUTED}: {_shown(kept)} for {len(cells)} runs, and "
            f"{_shown(under_way)} while {at_once} at a time train; {_shown(free)} are free. `make prune` lists what no "
            "run needs any more; ONLY= trains a part of the study"
        )


def _shown(gib: float) -> str:
    return f"{gib:,.1f} GiB" if gib >= 1 else f"{1024 * gib:,.1f} MiB"


def free_gib() -> float:
    """Return the GiB that are free on the disk of `executed/`."""
    there = next(folder for folder in (paths.EXECUTED, *paths.EXECUTED.parents) if folder.exists())
    return shutil.disk_usage(there).free / 2**30


def main() -> None:
    """Read the command line; end with an error where the disk has no room."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.disk", description="Require room on the disk for runs.")
    parser.add_argument("study", help="a file's stem in params/studies")
    parser.add_argument("runs", nargs="+", metavar="run", help="a run's name, as `make plan` lists them")
    parser.add_argument("--at-once", type=int, default=1, help="how many runs train at the same time")
    arguments = parser.parse_args()
    with one_line():
        study = load_study(arguments.study)
        require_room(study.name, [study.cell(name) for name in arguments.runs], arguments.at_once)


if __name__ == "__main__":
    main()
