"""How planning, status, collecting and the report grow with the number of runs: `python -m lib.bench.scale [--quick]`.

The runs are generated, in a temporary project: three datasets, three models, both precisions and both frameworks, with
200 epochs and 1,000 test images each. Each command is called as a user would call it, in a process of its own.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from lib import paths
from lib.bench import scratch
from lib.bench.printing import print_table
from lib.errors import one_line

SIZES = {24: (1, 2), 180: (3, 5), 1800: (3, 50)}
"""The numbers of runs, each with how many of the datasets and of the seeds make them."""

MOST_REPORTED = 180
"""The largest number of runs of which a report is made."""

EPOCHS, IMAGES = 200, 1000
"""The epochs of each run, and its test images."""

APPENDIX = "A31_operating_characteristics"
"""An appendix of simulations, which is the same for all studies, and kept: its time is no matter of scale."""

COLUMNS = {
    "what": "a command",
    "runs": "of the study",
    "seconds": "by the clock",
    "cpu_seconds": "of all processes on the cores",
}
"""The columns of `measure`, each with its meaning."""


class Task(NamedTuple):
    """A module that is called with a study's name between two lists of arguments."""

    module: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def __call__(self, root: Path, study: str) -> scratch.Spent:
        """Call it in a project."""
        return scratch.call(root, self.module, *self.before, study, *self.after)


TASKS = {
    "plan": Task("lib.sweep", ("plan",), ("--measure",)),
    "status": Task("lib.sweep", ("status",)),
    "sweep of nothing": Task("lib.sweep", ("run",)),
    "collect": Task("lib.analysis.collecting"),
    "report": Task("lib.report"),
}
"""What is measured. All runs are done, so that plan times no steps; no chapter but the appendix has been executed."""


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """Return one row for each task and number of runs, with `COLUMNS`.

    The quick form stops at 180 runs, and makes no reports.

    Raises:
        UserError: a command failed.
    """
    sizes = [runs for runs in SIZES if not quick or runs <= MOST_REPORTED]
    each = (_measured(runs, runs <= MOST_REPORTED and not quick) for runs in tqdm(sizes, "scale", unit=" sizes"))
    return [row for rows in each for row in rows]


def _measured(runs: int, reported: bool) -> Iterator[dict[str, Any]]:
    """Yield the rows of a number of runs, of which a report is made or not."""
    study = f"scale-{runs}"
    with scratch.project() as root:
        kept = paths.EXECUTED / ".operating"
        kept.mkdir(parents=True, exist_ok=True)
        (root / "executed" / kept.name).symlink_to(kept)
        _write_study(root, study, *SIZES[runs])
        scratch.call(root, "lib.bench.invented", study, f"--images={IMAGES}")
        if reported:
            scratch.call(root, "lib.report", study, f"--chapter={APPENDIX}")
        for what, task in TASKS.items():
            if what != "report" or reported:
                yield {"what": what, "runs": runs} | task(root, study)._asdict()


def _write_study(root: Path, name: str, datasets: int, seeds: int) -> None:
    """Write stage 2 with some of its datasets and so many seeds, without chapters that need images or frameworks."""
    stage2 = scratch.read_study(root, "stage2")
    changes = {
        "title": "GENERATED RECORDS, not a result",
        "datasets": stage2["datasets"][:datasets],
        "seeds": list(range(1, seeds + 1)),
        "settings": {"epochs": EPOCHS, "batch_size": 64},  # other runs than those of stage 2
        "chapters": [chapter for chapter in stage2["chapters"] if not chapter.startswith("0")],
    }
    scratch.write_study(root, name, stage2 | changes)


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the exponent of growth of each task between its two largest sizes, by its seconds on the cores.

    1 is linear growth; a start that costs the same for any number of runs makes it less.
    """
    found = {}
    for what in dict.fromkeys(row["what"] for row in rows):
        points = sorted((row["runs"], row["cpu_seconds"]) for row in rows if row["what"] == what)[-2:]
        if len(points) == 2:
            (few, less), (many, more) = points
            found[what] = math.log(more / less) / math.log(many / few)
    return found


def main() -> None:
    """Read the command line, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.scale", description="Measure growth with many runs.")
    parser.add_argument("--quick", action="store_true", help=f"up to {MOST_REPORTED} runs, and no reports")
    with one_line():
        rows = measure(parser.parse_args().quick)
        exponents = growth(rows)
        table = [
            (row["what"], f"{row['runs']:,}", f"{row['seconds']:.1f}", f"{row['cpu_seconds']:.1f}") for row in rows
        ]
        print_table(("what",), ("runs", "seconds", "CPU seconds"), table)
        for what, exponent in exponents.items():
            print(f"{what}: grows with the runs to the power of {exponent:.2f}")


if __name__ == "__main__":
    main()
