"""The status of an unfinished training: what it is doing, or how it ended."""

import os
import platform
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError

from lib import files
from lib.clock import now
from lib.runs import records
from lib.runs.digests import dataset_digest, made_from
from lib.study.cells import Cell
from lib.study.strict import Strict

ATTEMPTS = 3
"""A run that fails so often in a row, made from the same, is not tried again by itself."""

_LAST_LINES = 10


class Kind(StrEnum):
    """The kinds of states of a run."""

    DONE = "done"
    ACCEPTED = "accepted"
    OTHER_CODE = "other code"
    UNREADABLE = "unreadable"
    STALE = "stale"
    MISSING = "missing"
    FAILED = "failed"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    NOT_FINITE = "not finite"
    INTERRUPTED = "interrupted"
    RUNNING = "running"


FAILURES = (Kind.FAILED, Kind.OUT_OF_MEMORY, Kind.TIMED_OUT, Kind.NOT_FINITE)
"""The kinds of runs that ended by themselves without a result."""


class Status(Strict):
    """The status of an unfinished training.

    `failures` counts those in a row, with `made_from`: the digests of inputs and code, and all settings. `last_lines`
    are those of `console.log`.
    """

    state: Kind
    host: str
    pid: int
    since: str
    error: str = ""
    failures: int = 0
    made_from: dict[str, str] = Field(default_factory=dict)
    last_lines: list[str] = Field(default_factory=list)

    @property
    def given_up(self) -> bool:
        """Whether the training failed too often in a row to be tried again by itself."""
        return self.state in FAILURES and self.failures >= ATTEMPTS


def write(cell: Cell, state: Kind, error: str = "") -> None:
    """Write the status of the cell's training, for this process on this machine."""
    today, before = _made_from(cell), read(cell)
    failures = before.failures if before and before.made_from == today else 0
    if state != Kind.RUNNING:
        failures = failures + 1 if state in FAILURES else 0
    status = Status(
        state=state,
        host=platform.node(),
        pid=os.getpid(),
        since=now(),
        error=error,
        failures=failures,
        made_from=today,
        last_lines=[] if state == Kind.RUNNING else _last_lines(cell),
    )
    files.write_text(path(cell), status.model_dump_json(indent=2) + "\n")


def touch(cell: Cell) -> None:
    """Show other machines that the run goes on."""
    path(cell).touch()


def read(cell: Cell) -> Status | None:
    """Return the status, or None where there is none that can be read."""
    return read_in(records.folder(cell))


def read_in(folder: Path) -> Status | None:
    """Return the status of the run in a folder, as `read`, also where no study names the run."""
    try:
        return Status.model_validate_json((folder / "status.json").read_bytes())
    except (OSError, ValidationError):
        return None


def given_up(cell: Cell) -> bool:
    """Return whether the training failed too often, from the same as today, to be tried by itself."""
    status = read(cell)
    return bool(status and status.given_up and status.made_from == _made_from(cell))


def path(cell: Cell) -> Path:
    """Return the path of a run's status, which is there while the run is not done."""
    return records.folder(cell) / "status.json"


def console(cell: Cell) -> Path:
    """Return the path of what a run printed, in all its attempts."""
    return records.folder(cell) / "console.log"


def _made_from(cell: Cell) -> dict[str, str]:
    """Return what a failure may be due to: also the settings that are no inputs, such as `max_hours`."""
    return made_from(cell, dataset_digest(cell.dataset)) | {"settings": cell.settings.model_dump_json()}


def _last_lines(cell: Cell) -> list[str]:
    try:
        return console(cell).read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
    except OSError:
        return []
