"""Plan, run and watch a study's runs: `python -m lib.sweep {plan,run,status} STUDY`.

What is to be done is read from the records, never from Snakemake's memory; Snakemake runs it.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter

from lib import errors, files, paths, processes
from lib.doctor import examination
from lib.errors import DataError, UserError
from lib.runs import state as runs
from lib.runs.state import Kind, State
from lib.study.params import Cell, Study, load_study
from lib.sweep.plan import pending, time_left


def plan(study: Study, rerun: str) -> list[Cell]:
    """Print what a sweep would run, and why, and what it would leave alone though it is not done; return the first."""
    todo = pending(study, rerun)
    states = _states(study)
    print(f"{study.name}: {len(study.cells)} runs ({_counts(states)}); {len(todo)} to run")
    _print([*todo, *((cell, state) for cell, state in states if state.kind in (Kind.RUNNING, Kind.UNREADABLE))])
    if todo:
        print(f"one after another: {time_left(study, [cell for cell, _ in todo])}", flush=True)
    return [cell for cell, _ in todo]


def status(study: Study) -> None:
    """Print how each run stands."""
    states = _states(study)
    _print(states)
    print(_counts(states))


def run(study: Study, rerun: str, options: list[str]) -> None:
    """Run what is pending through Snakemake; nothing is started where nothing is.

    Raises:
        DataError: a dataset of the study has no store.
        UserError: another sweep or a run is going on; `make doctor` says NO; or a run did not finish, and the others
            were run all the same.
    """
    for dataset in study.datasets:
        if runs.dataset_digest(dataset) is None:
            raise DataError(f"data/{dataset} is not prepared, or damaged: make data DATASET={dataset}")
    refusal = UserError("another sweep is running in this project; wait for it, or stop it")
    with files.held(paths.EXECUTED / ".sweep.lock", refusal):
        _refuse_company(study)
        for cell in study.cells:
            runs.tidy(cell)
        todo = plan(study, rerun)
        if todo:
            if not any(option.startswith("--executor") for option in options):
                examination.require()  # on a cluster each run's own machine is looked at, not this one
            _run(study, todo, rerun, options)
    unfinished = {cell for cell, state in _states(study) if state.kind not in runs.WITH_RESULTS}
    unfinished |= {cell for cell, _ in pending(study, rerun)}
    if unfinished:
        raise UserError(f"{len(unfinished)} runs are not finished; make status STUDY={study.name} says why")


def _refuse_company(study: Study) -> None:
    """Two trainings at once would falsify each other's times, and a run that is just ending would be left out."""
    for cell, state in _states(study):
        if state.kind == Kind.RUNNING:
            raise UserError(f"{cell.name} is running, {state.reason}; wait for it, or stop it")


def _run(study: Study, cells: list[Cell], rerun: str, options: list[str]) -> None:
    """Let Snakemake run the cells, in a process group that does not outlive the call."""
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


def _states(study: Study) -> list[tuple[Cell, State]]:
    return [(cell, runs.state(cell)) for cell in study.cells]


def _counts(states: list[tuple[Cell, State]]) -> str:
    counts = Counter(state.kind for _, state in states)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _print(states: list[tuple[Cell, State]]) -> None:
    """Print a line a run; a name is never cut, however narrow the terminal."""
    width = max((len(cell.name) for cell, _ in states), default=0)
    for cell, (kind, reason) in states:
        print(f"  {cell.name:{width}}  {kind:11}  {reason}", flush=True)


def main() -> None:
    """Read the command line and do what it asks."""
    parser = argparse.ArgumentParser(prog="python -m lib.sweep", description="Plan, run or watch a study's runs.")
    parser.add_argument("action", choices=["plan", "run", "status"])
    parser.add_argument("study", help="a file's stem in params/studies")
    parser.add_argument("--rerun", choices=["code", ""], default="", help="code: also the runs made by other code")
    arguments, options = parser.parse_known_args()
    with errors.one_line():
        study = load_study(arguments.study)
        if arguments.action == "status":
            status(study)
        elif arguments.action == "plan":
            plan(study, arguments.rerun)
        else:
            run(study, arguments.rerun, options)


if __name__ == "__main__":
    main()
