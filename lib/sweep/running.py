"""Run the pending cells of a study, after all that it takes is seen to be there."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from lib import processes
from lib.data.use import used
from lib.doctor import examination
from lib.errors import UserError
from lib.runs import tracking
from lib.runs.state import WITH_RESULTS, Choice, RunIsHeld, State, claimed, is_tidy, pending, states, tidy
from lib.runs.status import Kind
from lib.study.cells import Cell
from lib.study.study import Study
from lib.sweep import clusters, jobs, slots
from lib.sweep.page import Page
from lib.sweep.plan import datasets, require_data
from lib.sweep.telling import Teller
from lib.sweep.watching import Watch

_NO_SLOTS = 0
"""On a cluster, whose scheduler divides the machines, runs take no slots."""


class Manner(NamedTuple):
    """The way of a sweep: what it runs again, how many `at_once`, whether the first failure ends it, and a cluster.

    `profile` is the name of the cluster's; without one the runs train on this machine.
    """

    choice: Choice = Choice()
    at_once: int | None = None
    fail_fast: bool = False
    profile: str = ""


def require_packages(cells: Iterable[Cell]) -> None:
    """Refuse to run cells without the package that their tracking asks for; `ParameterError` says how to install it."""
    for cell in cells:
        tracking.require(cell)


@contextmanager
def using_data(cells: Sequence[Cell]) -> Iterator[None]:
    """Keep the cells' stores from being replaced during the block.

    Raises:
        DataError: a dataset has no store, or it is being replaced.
    """
    with ExitStack() as stack:
        for dataset in datasets(cells):
            stack.enter_context(used(dataset))
        require_data(cells)
        yield


def tidy_all(cells: Iterable[Cell]) -> None:
    """Complete what killed processes left of the cells."""
    for cell in cells:
        if not is_tidy(cell):
            with suppress(RunIsHeld), claimed(cell):
                tidy(cell)


def run(study: Study, found: list[tuple[Cell, State]], manner: Manner, options: list[str]) -> None:
    """Run the pending cells, of those with their states, through Snakemake, which is not started where there are none.

    A cell that another sweep trains is waited for. On a cluster the scheduler gives each run its devices, and each run
    examines its own machine.

    Raises:
        ParameterError: the cells' `tracking` or the profile needs a package that is not installed; there are fewer
            slots.
        DataError: an array of a store is damaged.
        UserError: `make doctor` says NO, the disk has no room, or runs did not finish, after all others were run.
    """
    cells, todo = ([cell for cell, _ in some] for some in (found, pending(found, manner.choice)))
    waited = [cell for cell, one in found if one.kind == Kind.RUNNING]
    require_packages([*todo, *waited])
    if todo or waited:
        at_once = _NO_SLOTS if manner.profile else slots.at_once(manner.at_once)
        place = clusters.options(manner.profile, manner.at_once) if manner.profile else ["--cores", str(at_once)]
        if not manner.profile:
            examination.require()
        _require_whole_data(cells)
        if todo:
            _require_room(study, todo, together(manner, len(todo)))
        config = {"study": study.name, "rerun": manner.choice.rerun, "at_once": at_once}
        how = [*place, *([] if manner.fail_fast else ["--keep-going"]), *options]
        teller = Teller(study.name, Watch(study, cells, manner.choice), Page(study, manner.choice))
        jobs.run(config, [cell.name for cell in (*todo, *waited)], how, teller)
        found = states(cells)
    unfinished = {cell for cell, state in found if state.kind not in WITH_RESULTS}
    unfinished |= {cell for cell, _ in pending(found, manner.choice)}
    if unfinished:
        raise UserError(f"{len(unfinished)} runs are not finished; make status STUDY={study.name} says why")


def _require_whole_data(cells: Iterable[Cell]) -> None:
    """Require that no array of the cells' stores is damaged; `DataError` names it."""
    from lib.data.store import open_store  # NumPy, which it needs, would make every `make status` wait

    for dataset in datasets(cells):
        open_store(dataset)


def together(manner: Manner, runs: int) -> int:
    """Return how many of so many runs train at the same time; on a cluster without a number, perhaps all of them."""
    most = (manner.at_once or runs) if manner.profile else slots.at_once(manner.at_once)
    return min(most, runs)


def _require_room(study: Study, cells: list[Cell], at_once: int) -> None:
    """Require room on the disk for the cells' runs, which another process counts: it needs the networks."""
    command = [sys.executable, "-W", "ignore", "-m", "lib.bench.disk", study.name, f"--at-once={at_once}"]
    command += [cell.name for cell in cells]
    counted = subprocess.run(processes.bound(command), stderr=subprocess.PIPE, text=True, check=False)
    if counted.returncode:
        raise UserError(counted.stderr.strip().rpartition("\n")[2].removeprefix("error: "))
