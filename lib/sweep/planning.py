"""Print what a sweep of a study would run, and why."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lib import processes
from lib.errors import DataError, ParameterError
from lib.runs.state import Choice, State, pending, states
from lib.runs.status import FAILURES, Kind
from lib.study.cells import Cell
from lib.study.study import Study
from lib.sweep.plan import require_data, times
from lib.sweep.running import Manner, require_packages, together
from lib.sweep.showing import counted, lines

_NOT_DONE = (Kind.RUNNING, Kind.UNREADABLE, *FAILURES)


def plan_and_measure(study: Study, cells: Sequence[Cell], manner: Manner) -> None:
    """Print the cost of the pending runs by a few timed steps, then the plan, then the rule for adding seeds."""
    with _rule_for_seeds(study):
        found = states(cells)
        if todo := [cell.name for cell, _ in pending(found, manner.choice)]:
            at_once = f"--at-once={together(manner, len(todo))}"
            steps = subprocess.run(_module("lib.bench.preflight", study.name, at_once, *todo), check=False)
            if steps.returncode:
                sys.exit(steps.returncode)
        plan(study, found, manner.choice)


def plan(study: Study, found: list[tuple[Cell, State]], choice: Choice) -> None:
    """Print which runs are pending and why, how long they take, and why a sweep would be refused."""
    todo = pending(found, choice)
    show_pending(study, found, todo)
    needed = times(study, [cell for cell, _ in todo])
    if needed.by_results:
        print(f"by the results so far, one after another: {needed}")
    try:
        require_data(cell for cell, _ in found)
        require_packages(cell for cell, _ in todo)
    except (DataError, ParameterError) as problem:
        print(f"a sweep would be refused: {problem}")


def show_pending(study: Study, found: list[tuple[Cell, State]], todo: list[tuple[Cell, State]]) -> None:
    """Print which runs are pending and why, and which are neither pending nor done."""
    names = {cell.name for cell, _ in todo}
    shown = counted(Counter(state.kind for _, state in found))
    print(f"{study.name}: {len(found)} runs ({shown}); {len(todo)} to run")
    told = [*todo, *((cell, one) for cell, one in found if one.kind in _NOT_DONE and cell.name not in names)]
    for line in lines([(cell, *state) for cell, state in told]):
        print(line, flush=True)


@contextmanager
def _rule_for_seeds(study: Study) -> Iterator[None]:
    """Print what the rule says after the block. Its process needs statistics, and loads them during the block."""
    with subprocess.Popen(_module("lib.analysis.settling", study.name), stdout=subprocess.PIPE, text=True) as process:
        yield
        print(process.communicate()[0], end="")


def _module(name: str, *arguments: str) -> list[str]:
    return processes.bound([sys.executable, "-W", "ignore", "-m", name, *arguments])
