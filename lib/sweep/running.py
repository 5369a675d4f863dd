"""Run the pending cells of a study through Snakemake."""

import math
import os
import platform
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lib import files, paths, processes
from lib.clock import duration
from lib.data.use import used
from lib.doctor import examination
from lib.errors import UserError
from lib.runs import tracking
from lib.runs.records import folder
from lib.runs.state import WITH_RESULTS, Choice, RunIsHeld, State, claimed, pending, states, tidy
from lib.runs.status import Kind
from lib.study.cells import Cell
from lib.study.study import Study
from lib.sweep import slots
from lib.sweep.notifying import notify
from lib.sweep.plan import require_data
from lib.sweep.watching import Watch

_LOOK_SECONDS = 10
"""The time between two looks at the runs."""

_SPEAK_SECONDS = 600
"""The longest time without a line about the sweep."""

_STALL_SECONDS = 3600
"""The time after which a sweep whose runs do not go on has stalled."""


class Manner(NamedTuple):
    """The way of a sweep: what it runs again, `at_once` on this machine, and whether the first failure ends it."""

    choice: Choice = Choice()
    at_once: int | None = None
    fail_fast: bool = False


def require_packages(cells: Iterable[Cell]) -> None:
    """Refuse to run cells without the package that their tracking asks for; `ParameterError` says how to install it."""
    for cell in cells:
        tracking.require(cell)


@contextmanager
def using_data(study: Study) -> Iterator[None]:
    """Keep the study's stores from being replaced during the block.

    Raises:
        DataError: a dataset has no store, or it is being replaced.
    """
    with ExitStack() as stack:
        for dataset in study.datasets:
            stack.enter_context(used(dataset))
        require_data(study.datasets)
        yield


def tidy_all(cells: Iterable[Cell]) -> None:
    """Complete what killed processes left of the cells."""
    for cell in cells:
        with suppress(RunIsHeld):
            if folder(cell).exists():
                with claimed(cell):
                    tidy(cell)


def run(study: Study, found: list[tuple[Cell, State]], manner: Manner, options: list[str]) -> None:
    """Run the pending cells, of those with their states, through Snakemake, which is not started where there are none.

    A cell that another sweep trains is waited for. On a cluster, whose executor is among the options, the scheduler
    gives each run its devices, and each run examines its own machine.

    Raises:
        ParameterError: the cells' `tracking` needs a package that is not installed; there are fewer slots.
        UserError: `make doctor` says NO, or runs did not finish, after all others were run.
    """
    todo = [cell for cell, _ in pending(found, manner.choice)]
    todo += [cell for cell, one in found if one.kind == Kind.RUNNING]
    require_packages(todo)
    if todo:
        cluster = any(option.startswith("--executor") for option in options)
        if not cluster:
            examination.require()
        _snakemake(study, todo, manner, options, 0 if cluster else slots.at_once(manner.at_once))
        found = states(cell for cell, _ in found)
    unfinished = {cell for cell, state in found if state.kind not in WITH_RESULTS}
    unfinished |= {cell for cell, _ in pending(found, manner.choice)}
    if unfinished:
        raise UserError(f"{len(unfinished)} runs are not finished; make status STUDY={study.name} says why")


def _snakemake(study: Study, cells: list[Cell], manner: Manner, options: list[str], at_once: int) -> None:
    """Run Snakemake in a process group that ends with this call, and call `ON_END`; `at_once` is 0 on a cluster."""
    with _outputs() as over:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / "Snakefile")]
        command += ["--directory", str(paths.ROOT), "--config", f"study={study.name}", f"rerun={manner.choice.rerun}"]
        command += [f"at_once={at_once}", f"over={over.relative_to(paths.ROOT)}", "--cores", str(at_once or "all")]
        command += [] if manner.fail_fast else ["--keep-going"]
        command += ["--quiet", "host", "rules", "--nolock", *options]
        command += ["--", *(str((over / cell.name).relative_to(paths.ROOT)) for cell in cells)]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        snakemake = subprocess.Popen(processes.bound(command), env=environment, start_new_session=True)
        watch, outcome = Watch(study, cells), "interrupted"
        try:
            outcome = "unfinished" if _report(study.name, watch, snakemake) else "done"
        finally:
            processes.end_group(snakemake)
            notify(study.name, outcome, watch.look())


def _report(name: str, watch: Watch, snakemake: subprocess.Popen) -> int:
    """Print one line about the sweep whenever a run began or ended, and every ten minutes, until Snakemake ends.

    `ON_END` is called where no run of the sweep has gone on for an hour. The exit code is returned.
    """
    counts, seen, spoke, moved = None, None, 0.0, 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            return snakemake.wait(_LOOK_SECONDS)
        view, instant = watch.look(), time.monotonic()
        if view.counts != counts or instant - spoke > _SPEAK_SECONDS:
            counts, spoke = view.counts, instant
            print(f"{name}: {view.line}", flush=True)
        if view.places != seen:
            seen, moved = view.places, instant
        elif instant - moved > _STALL_SECONDS:
            moved = math.inf  # told once, until a run goes on
            print(f"{name}: no run has gone on for {duration(_STALL_SECONDS)}", flush=True)
            notify(name, "stalled", view)


@contextmanager
def _outputs() -> Iterator[Path]:
    """Yield a folder of its own for the outputs that Snakemake's jobs declare, and remove those of ended sweeps."""
    place, refusal = paths.EXECUTED / ".over", UserError("another sweep has the same number")
    for left in place.glob(f"{platform.node()}-*"):
        if not files.is_held(left / ".lock"):
            shutil.rmtree(left, ignore_errors=True)
    own = place / f"{platform.node()}-{uuid.uuid4().hex[:8]}"
    with files.held(own / ".lock", refusal):
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
