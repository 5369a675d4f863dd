"""Plan, run and watch a study's runs: `python -m lib.sweep {plan,run,status} STUDY`.

What is to be done is read from the records, never from Snakemake's memory; Snakemake runs it.
"""

import argparse
import os
import subprocess
import sys
from collections import Counter

from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lib import errors, paths, runs
from lib.errors import DataError, UserError
from lib.params import Cell, Study, load_study
from lib.plan import pending, time_left
from lib.runs import Kind, State

_COLOURS = {Kind.DONE: "green", Kind.OTHER_CODE: "green", Kind.RUNNING: "cyan", Kind.FAILED: "red"}


def plan(study: Study, rerun: str) -> list[tuple[Cell, State]]:
    """Print what a sweep would run, and why; return it."""
    todo = pending(study, rerun)
    print(f"{study.name}: {len(study.cells)} runs ({_counts(study)}); {len(todo)} to run")
    if todo:
        _print_states(todo)
        print(f"one after another: {time_left(study, [cell for cell, _ in todo])}")
    return todo


def status(study: Study) -> None:
    """Print how each run stands."""
    _print_states([(cell, runs.state(cell)) for cell in study.cells])
    print(_counts(study))


def run(study: Study, rerun: str, options: list[str]) -> None:
    """Run what is pending through Snakemake; nothing is started where nothing is.

    Raises:
        DataError: a dataset of the study has no store.
        UserError: another sweep is running; or a run failed, and the others were run all the same.
    """
    for dataset in study.datasets:
        if not (paths.DATA / f"{dataset}.json").exists():
            raise DataError(f"data/{dataset} is not prepared: make data DATASET={dataset}")
    try:
        with FileLock(paths.EXECUTED / ".sweep.lock", timeout=0):
            todo = plan(study, rerun)
            if todo:
                _run(study, [cell for cell, _ in todo], options)
    except Timeout:
        raise UserError("another sweep is running in this project; wait for it, or stop it") from None


def _run(study: Study, cells: list[Cell], options: list[str]) -> None:
    records = [str((runs.folder(cell) / "record.json").relative_to(paths.ROOT)) for cell in cells]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / "Snakefile")]
    command += ["--directory", str(paths.ROOT), "--config", f"study={study.name}", "--rerun-triggers", "mtime"]
    command += ["--cores", "all", "--keep-going", "--quiet", "host", "rules", "--nolock", *options]
    command += ["--forcerun", *records, "--", *records]
    if subprocess.run(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, check=False).returncode:
        unfinished = len(pending(study))
        raise UserError(f"{unfinished} runs are not finished; make status STUDY={study.name} says why")


def _counts(study: Study) -> str:
    counts = Counter(runs.state(cell).kind for cell in study.cells)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _print_states(states: list[tuple[Cell, State]]) -> None:
    table = Table("run", "state", "why", box=None, pad_edge=False)
    for cell, (kind, reason) in states:
        table.add_row(cell.name, f"[{_COLOURS.get(kind, 'yellow')}]{kind}[/]", escape(reason))
    Console(soft_wrap=True).print(table)


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
