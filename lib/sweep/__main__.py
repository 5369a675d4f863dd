"""Plan, run and watch a study's runs: `python -m lib.sweep {plan,run,status} STUDY`.

Only the records decide which runs are pending. Snakemake runs them.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, suppress

from lib import errors, files, paths, processes
from lib.data.use import used
from lib.doctor import examination
from lib.errors import ChapterError, DataError, ParameterError, UserError
from lib.runs import tracking
from lib.runs.records import folder
from lib.runs.state import WITH_RESULTS, Kind, State, claimed, pending, states, tidy
from lib.study.cells import Cell
from lib.study.loading import load_study
from lib.study.study import Study
from lib.sweep.plan import require_data, time_left
from lib.sweep.settings import settings_text


def plan(study: Study, rerun: str) -> list[Cell]:
    """Print which runs are pending and why, and which are neither pending nor done; return the pending cells."""
    todo, found = pending(study, rerun), states(study)
    print(f"{study.name}: {len(study.cells)} runs ({_counts(found)}); {len(todo)} to run")
    _print([*todo, *((cell, state) for cell, state in found if state.kind in (Kind.RUNNING, Kind.UNREADABLE))])
    return [cell for cell, _ in todo]


def require_packages(cells: list[Cell]) -> None:
    """Refuse to run cells without the package that their tracking asks for; `ParameterError` says how to install it."""
    for cell in cells:
        tracking.require(cell)


def status(study: Study) -> None:
    """Print the state of each run."""
    found = states(study)
    _print(found)
    print(_counts(found))


def run(study: Study, rerun: str, options: list[str]) -> None:
    """Run the pending cells through Snakemake, which is not started where none is pending.

    Raises:
        DataError: a dataset of the study has no store, or it is being replaced.
        ParameterError: the study's `tracking` needs a package that is not installed.
        UserError: another sweep or a run is under way; `make doctor` says NO; or runs did not finish, after all others
            were run.
    """
    refusal = UserError("another sweep is running in this project; wait for it, or stop it")
    with files.held(paths.EXECUTED / ".sweep.lock", refusal), ExitStack() as stack:
        for dataset in study.datasets:
            stack.enter_context(used(dataset))
        require_data(study.datasets)
        _refuse_company(study)
        for cell in study.cells:
            with suppress(ChapterError):  # a run that was started by hand meanwhile
                _tidy(cell)
        todo = plan(study, rerun)
        require_packages(todo)
        if todo:
            print(f"one after another: {time_left(study, todo)}", flush=True)
            if not any(option.startswith("--executor") for option in options):
                examination.require()  # on a cluster each run examines its own machine
            _run(study, todo, rerun, options)
    unfinished = {cell for cell, state in states(study) if state.kind not in WITH_RESULTS}
    unfinished |= {cell for cell, _ in pending(study, rerun)}
    if unfinished:
        raise UserError(f"{len(unfinished)} runs are not finished; make status STUDY={study.name} says why")


def _tidy(cell: Cell) -> None:
    if folder(cell).exists():
        with claimed(cell):
            tidy(cell)


def _refuse_company(study: Study) -> None:
    """Refuse to sweep beside a training: each would falsify the other's times."""
    for cell, state in states(study):
        if state.kind == Kind.RUNNING:
            raise UserError(f"{cell.name} is running, {state.reason}; wait for it, or stop it")


def _run(study: Study, cells: list[Cell], rerun: str, options: list[str]) -> None:
    """Run the cells through Snakemake, in a process group that ends with this call."""
    over = paths.EXECUTED / ".over"
    shutil.rmtree(over, ignore_errors=True)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / "Snakefile")]
    command += ["--directory", str(paths.ROOT), "--config", f"study={study.name}", f"rerun={rerun}"]
    command += ["--cores", "all", "--keep-going", "--quiet", "host", "rules", "--nolock", *options]
    command += ["--", *(str((over / cell.name).relative_to(paths.ROOT)) for cell in cells)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    snakemake = subprocess.Popen(processes.bound(command), env=environment, start_new_session=True)
    try:
        snakemake.wait()
    finally:
        processes.end_group(snakemake)


def _counts(found: list[tuple[Cell, State]]) -> str:
    counts = Counter(state.kind for _, state in found)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _print(found: list[tuple[Cell, State]]) -> None:
    """Print one line per run; names are never cut."""
    width = max((len(cell.name) for cell, _ in found), default=0)
    for cell, (kind, reason) in found:
        print(f"  {cell.name:{width}}  {kind:11}  {reason}", flush=True)


def main() -> None:
    """Read the command line, and plan, run or show the states."""
    parser = argparse.ArgumentParser(prog="python -m lib.sweep", description="Plan, run or watch a study's runs.")
    parser.add_argument("action", choices=["plan", "run", "status"])
    parser.add_argument("study_name", metavar="study", help="a file's stem in params/studies")
    parser.add_argument("--rerun", choices=["code", ""], default="", help="code: also the runs made by other code")
    parser.add_argument("--settings", action="store_true", help="plan: print the resolved settings instead")
    arguments, options = parser.parse_known_args()
    with errors.one_line():
        study = load_study(arguments.study_name)
        if arguments.action == "status":
            status(study)
        elif arguments.action == "plan" and arguments.settings:
            print(settings_text(study))
        elif arguments.action == "plan":
            todo = plan(study, arguments.rerun)
            try:
                require_data(study.datasets)
                require_packages(todo)
            except (DataError, ParameterError) as problem:
                print(f"a sweep would be refused: {problem}")
        else:
            run(study, arguments.rerun, options)


if __name__ == "__main__":
    main()
