"""Run one cell: execute its training notebook with papermill, and write how it ended.

A sweep calls `python -m lib.sweep.cell STUDY RUN` for each run. Calling it by hand does the same.
"""

import argparse
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TextIO

from lib import errors, files, paths
from lib.data.use import used
from lib.doctor import examination
from lib.errors import ChapterError, described
from lib.execution import execute
from lib.runs import records, state
from lib.runs.digests import EXPECTED_CODE, code_digest
from lib.runs.state import Kind, pending
from lib.study.cells import Cell
from lib.study.loading import load_study
from lib.sweep.plan import require_data, time_left


class Tee:
    """A stream that writes to several others, so that a log holds what the terminal shows."""

    def __init__(self, *streams: TextIO) -> None:
        self._streams = streams

    def write(self, text: str) -> None:
        """Write to each stream."""
        for stream in self._streams:
            stream.write(text)

    def flush(self) -> None:
        """Flush each stream."""
        for stream in self._streams:
            stream.flush()


def run(study_name: str, cell: Cell, rerun: str = "") -> None:
    """Train a cell and leave its new record, or a status with the reason why there is none.

    A done run is kept, and so is one made by other code unless `rerun` is "code". An error after the record was written
    leaves the run done.

    Raises:
        DataError: the dataset has no store, or it is being replaced.
        ChapterError: another process trains the run, or its notebook failed; the message names the run and the cause.
        KeyboardInterrupt: the run was stopped; the next call goes on from its last whole epoch.
    """
    with used(cell.dataset), state.claimed(cell):
        require_data([cell.dataset])
        kind, reason = state.at_rest(cell)
        if kind == Kind.UNREADABLE:
            raise ChapterError(f"{cell.name} is unreadable: {reason}")
        if kind == Kind.DONE:
            print(f"{cell.name} is done, {reason}")
        elif kind == Kind.OTHER_CODE and rerun != "code":
            print(f"{cell.name} is kept: {reason}; --rerun code trains it again")
        else:
            _train(study_name, cell, rerun)
        state.tidy(cell)


def _train(study_name: str, cell: Cell, rerun: str) -> None:
    examination.require()
    with files.replacing(records.folder(cell) / "doctor.json") as temporary:
        shutil.copyfile(examination.result(), temporary)
    old = records.read_record(cell)
    state.write_status(cell, "running")
    try:
        with _signs_of_life(cell):
            _execute(study_name, cell, rerun)
        if records.read_record(cell) == old:
            raise ChapterError(f"{cell.name} failed: its notebook ended without a record")
    except BaseException as error:
        if records.read_record(cell) == old:
            with suppress(OSError):  # a full disk must not hide why the run ended
                state.write_status(cell, *_ending(error))
            raise
        print(f"{cell.name}: after its record was written: {described(error)}", file=sys.stderr)


def _execute(study_name: str, cell: Cell, rerun: str) -> None:
    folder, source = records.folder(cell), paths.NOTEBOOKS / f"20_train_{cell.framework}.py"
    parameters = {"study_name": study_name, "run": cell.name, "rerun": rerun}
    with (folder / "console.log").open("a", encoding="utf-8") as log:
        try:
            environment = {EXPECTED_CODE: code_digest(cell)}
            execute(source, folder / "notebook.ipynb", parameters, Tee(sys.stdout, log), environment)
        except ChapterError as error:
            raise ChapterError(f"{cell.name} failed: {error}") from None


def _ending(error: BaseException) -> tuple[Literal["failed", "interrupted"], str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", ""
    return "failed", described(error)


@contextmanager
def _signs_of_life(cell: Cell) -> Iterator[None]:
    """Touch the run's status every half minute, so that other machines can tell a running run from a killed one."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(30):
            with suppress(OSError):  # the next touch may succeed
                state.touch_status(cell)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def main() -> None:
    """Read the command line and run the cell."""
    parser = argparse.ArgumentParser(prog="python -m lib.sweep.cell", description="Train one run of a study.")
    parser.add_argument("study_name", metavar="study", help="a file's stem in params/studies")
    parser.add_argument("run", help="a run's name, as `make plan` lists them")
    parser.add_argument("--rerun", choices=["code", ""], default="", help="code: also a run made by other code")
    arguments = parser.parse_args()
    with errors.one_line():
        study = load_study(arguments.study_name)
        run(study.name, study.cell(arguments.run), arguments.rerun)
        left = [cell for cell, _ in pending(study)]
        if left:
            print(f"{study.name}: {len(left)} of {len(study.cells)} runs left, {time_left(study, left)}", flush=True)


if __name__ == "__main__":
    main()
