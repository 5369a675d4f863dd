"""Run one cell: its training notebook under papermill, and the truth about how it ended.

`python -m lib.cell STUDY RUN` is what the sweep calls for each run; it may be called by hand just as well.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TextIO

from lib import errors, files, paths, runs
from lib.errors import ChapterError
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
    """Train a cell and leave its record, or no record and a status that says why.

    Raises:
        ChapterError: the notebook failed; the message names the run and the cause.
        KeyboardInterrupt: the run was stopped; it goes on from its last whole epoch when it is asked for again.
    """
    state = runs.state(cell)
    if state.kind == Kind.RUNNING:
        raise ChapterError(f"{cell.name} is running already, {state.reason}")
    folder = runs.folder(cell)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").unlink(missing_ok=True)
    runs.write_status(cell, "running")
    try:
        with (folder / "console.log").open("a", encoding="utf-8") as log:
            _execute(study, cell, folder, Tee(sys.stdout, log))
    except KeyboardInterrupt:
        runs.write_status(cell, "interrupted")
        raise
    except ChapterError as error:
        (folder / "record.json").unlink(missing_ok=True)
        runs.write_status(cell, "failed", str(error))
        raise ChapterError(f"{cell.name} failed: {error}") from None
    runs.clear_status(cell)


def _execute(study: str, cell: Cell, folder: Path, console: TextIO) -> None:
    source = paths.NOTEBOOKS / f"20_train_{cell.framework}.py"
    with files.replacing(folder / "notebook.ipynb") as notebook:
        execute(source, notebook, {"study": study, "run": cell.name}, console)
    if runs.read_record(cell) is None:
        raise ChapterError(f"{source.name} ended without a record")


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
