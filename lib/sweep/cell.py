"""Run one cell: execute its training notebook with papermill, and write how it ended.

A sweep calls `python -m lib.sweep.cell STUDY RUN` for each run. Calling it by hand does the same.
"""

import argparse
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from lib import errors, files, paths
from lib.data.store import open_store
from lib.data.use import used
from lib.doctor import examination
from lib.errors import ChapterError, DataError, described
from lib.execution import execute, mark
from lib.runs import records, state, status
from lib.runs.digests import EXPECTED_CODE, code_digest
from lib.runs.records import Record
from lib.runs.state import RunIsHeld
from lib.runs.status import FAILURES, Kind
from lib.study.cells import Cell
from lib.study.loading import load_study
from lib.sweep import ending, slots
from lib.sweep.plan import require_data

_LOOK_SECONDS = 1
"""The time between two looks at a run that another process trains."""


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


def run(study_name: str, cell: Cell, rerun: str = "", at_once: int | None = None) -> None:
    """Train a cell and leave its new record, or a status with the reason why there is none.

    It is trained in a slot of this machine, one of `at_once`; if that is 0, what it has was given by a scheduler. A run
    that another process trains is waited for: what it leaves is kept, unless it was interrupted. A done run is kept,
    and so is one made by other code unless `rerun` is "code". An error after the record was written leaves the run
    done.

    Raises:
        DataError: the dataset has no store, or it is being replaced.
        ChapterError: the run's notebook failed, here or in another process; the message names the run and the cause.
        KeyboardInterrupt: the run was stopped; the next call goes on from its last whole epoch.
    """
    while True:
        with _slot(cell, at_once) as given, suppress(RunIsHeld):
            _run(study_name, cell, rerun, given)
            return
        _wait(cell)


def _slot(cell: Cell, at_once: int | None) -> AbstractContextManager[dict[str, str]]:
    """Hold a slot, and yield the environment variables of a run in it."""
    if at_once == 0:
        return nullcontext({})
    return slots.claimed(slots.slots(at_once, cell.settings.devices))


def _wait(cell: Cell) -> None:
    """Wait for the end of a run that another process trains; `ChapterError` where it failed there."""
    found, told = state.state(cell), False
    while found.kind == Kind.RUNNING:
        if not told:
            print(f"{cell.name} is running, {found.reason}: waiting for its end", flush=True)
            told = True
        time.sleep(_LOOK_SECONDS)
        found = state.state(cell)
    if told and found.kind in FAILURES:
        raise ChapterError(f"{cell.name} failed: {found.reason} (in another process)")


def _run(study_name: str, cell: Cell, rerun: str, given: dict[str, str]) -> None:
    """Train a cell, if it is to be trained, in this environment; `RunIsHeld` where another process trains it."""
    with used(cell.dataset), state.claimed(cell):
        require_data([cell])
        kind, reason = state.at_rest(cell)
        if kind == Kind.UNREADABLE:
            raise ChapterError(f"{cell.name} is unreadable: {reason}")
        if kind in (Kind.DONE, Kind.ACCEPTED):
            print(f"{cell.name} is done, {reason}")
        elif kind == Kind.OTHER_CODE and rerun != "code":
            print(f"{cell.name} is kept: {reason}; --rerun code trains it again")
        else:
            _train(study_name, cell, rerun, given)
        state.tidy(cell)


def _train(study_name: str, cell: Cell, rerun: str, given: dict[str, str]) -> None:
    examination.require()
    open_store(cell.dataset)
    with files.replacing(records.folder(cell) / "doctor.json") as temporary:
        shutil.copyfile(examination.result(), temporary)
    old = records.read_record(cell)
    status.write(cell, Kind.RUNNING)
    try:
        with _signs_of_life(cell), _on_the_same_data(cell, old):
            _execute(study_name, cell, rerun, given)
        if records.read_record(cell) == old:
            raise ChapterError("its notebook ended without a record")
    except BaseException as error:
        if records.read_record(cell) in (old, None):
            with suppress(OSError):  # a full disk must not hide why the run ended
                ending.note(cell, error)
                mark(_notebook(cell), ending.kind(error), ending.reason(error))
            if isinstance(error, ChapterError):
                raise ChapterError(f"{cell.name} failed: {error}", error.cause) from None
            raise
        print(f"{cell.name}: after its record was written: {described(error)}", file=sys.stderr)


def _execute(study_name: str, cell: Cell, rerun: str, given: dict[str, str]) -> None:
    source = paths.NOTEBOOKS / f"20_train_{cell.framework}.py"
    parameters = {"study_name": study_name, "run": cell.name, "rerun": rerun}
    with status.console(cell).open("a", encoding="utf-8") as log:
        try:
            environment = given | {EXPECTED_CODE: code_digest(cell)}
            with ending.limited(cell):
                execute(source, _notebook(cell), parameters, Tee(sys.stdout, log), environment)
        except ChapterError as error:
            raise ChapterError(str(error).replace(f"{cell.name}: ", ""), error.cause) from None


def _notebook(cell: Cell) -> Path:
    return records.folder(cell) / "notebook.ipynb"


@contextmanager
def _on_the_same_data(cell: Cell, old: Record | None) -> Iterator[None]:
    """Remove what the block trains if the store is damaged at its end: the images may have been others.

    The old record stays, where the block has written none.

    Raises:
        ChapterError: the store is damaged.
    """
    try:
        yield
    finally:
        try:
            open_store(cell.dataset)
        except DataError as problem:
            records.drop_unfinished(cell)  # first: a record may be staged there
            if records.read_record(cell) not in (old, None):
                (records.folder(cell) / "record.json").unlink()
            raise ChapterError(str(problem)) from None


@contextmanager
def _signs_of_life(cell: Cell) -> Iterator[None]:
    """Touch the run's status every half minute, so that other machines can tell a running run from a killed one."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(30):
            with suppress(OSError):  # the next touch may succeed
                status.touch(cell)

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
    parser.add_argument("--at-once", type=int, help="how many runs share the machine; 0: a scheduler divides it")
    arguments = parser.parse_args()
    with errors.one_line():
        study = load_study(arguments.study_name)
        run(study.name, study.cell(arguments.run), arguments.rerun, arguments.at_once)


if __name__ == "__main__":
    main()
