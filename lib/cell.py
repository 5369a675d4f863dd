"""Run one cell: its training notebook under papermill, and the truth about how it ended.

`python -m lib.cell STUDY RUN` is what the sweep calls for each run; it may be called by hand just as well.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal, TextIO

from lib import errors, paths, runs
from lib.errors import ChapterError, DataError
from lib.execution import execute
from lib.params import Cell, load_study
from lib.plan import pending, time_left
from lib.runs import Kind


class Tee:
    """Passes text on to several streams, so that a log holds what the terminal shows."""

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


def run(study: str, cell: Cell) -> None:
    """Train a cell and leave its record, or no record and a status that says why. A done run is left as it is.

    What goes wrong after the record is written costs nothing: the run is done.

    Raises:
        DataError: the dataset has no store.
        ChapterError: the notebook failed; the message names the run and the cause.
        KeyboardInterrupt: the run was stopped; it goes on from its last whole epoch when it is asked for again.
    """
    state = runs.state(cell)
    if state.kind == Kind.DONE:
        print(f"{cell.name} is done, {state.reason}")
        return
    if state.kind in (Kind.RUNNING, Kind.UNREADABLE):
        raise ChapterError(f"{cell.name} is {state.kind}: {state.reason}")
    if runs.dataset_digest(cell) is None:
        raise DataError(f"{cell.dataset} is not prepared: make data DATASET={cell.dataset}")
    runs.folder(cell).mkdir(parents=True, exist_ok=True)
    runs.forget_record(cell)
    runs.write_status(cell, "running")
    try:
        with _signs_of_life(cell):
            _execute(study, cell)
    except BaseException as error:
        if runs.read_record(cell) is None:
            runs.write_status(cell, *_ending(error))
            raise
        print(f"{cell.name}: after its record was written: {error!r}", file=sys.stderr)
    runs.clear_status(cell)


def _execute(study: str, cell: Cell) -> None:
    folder, source = runs.folder(cell), paths.NOTEBOOKS / f"20_train_{cell.framework}.py"
    with (folder / "console.log").open("a", encoding="utf-8") as log:
        try:
            execute(source, folder / "notebook.ipynb", {"study": study, "run": cell.name}, Tee(sys.stdout, log))
        except ChapterError as error:
            raise ChapterError(f"{cell.name} failed: {error}") from None
    if runs.read_record(cell) is None:
        raise ChapterError(f"{cell.name} failed: {source.name} ended without a record")


def _ending(error: BaseException) -> tuple[Literal["failed", "interrupted"], str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", ""
    return "failed", str(error) if isinstance(error, ChapterError) else repr(error)


@contextmanager
def _signs_of_life(cell: Cell) -> Iterator[None]:
    """Touch the run's status every half minute, so that another machine can tell a running run from a killed one."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(30):
            runs.touch_status(cell)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Read the command line and run the cell."""
    parser = argparse.ArgumentParser(prog="python -m lib.cell", description="Train one run of a study.")
    parser.add_argument("study", help="a file's stem in params/studies")
    parser.add_argument("run", help="a run's name, as `make plan` lists them")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    with errors.one_line():
        study = load_study(arguments.study)
        run(arguments.study, study.cell(arguments.run))
        left = [cell for cell, _ in pending(study)]
        if left:
            print(f"{study.name}: {len(left)} of {len(study.cells)} runs left, {time_left(study, left)}", flush=True)


if __name__ == "__main__":
    main()
