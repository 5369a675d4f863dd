"""The state of a run, determined by its files only.

A run has a result if, and only if, its record is there and names the inputs that the cell has today.
"""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from lib import files
from lib.clock import now
from lib.errors import ChapterError, DataError
from lib.runs import records
from lib.runs.digests import code_digest, dataset_digest, made_from
from lib.runs.records import Record
from lib.study.cells import Cell
from lib.study.nested import flat
from lib.study.settings import WITHOUT_EFFECT
from lib.study.strict import Strict
from lib.study.study import Study

_SILENCE_SECONDS = 600
"""A run on another machine counts as interrupted after this time without a sign."""

_LOCK_SECONDS = 1
"""The wait for a run's lock, since a process that checks the lock shares it for an instant."""


class Status(Strict):
    """The status of an unfinished training."""

    state: Literal["running", "failed", "interrupted"]
    host: str
    pid: int
    since: str
    error: str = ""


class Kind(StrEnum):
    """The kinds of states of a run; the first two have results."""

    DONE = "done"
    OTHER_CODE = "other code"
    UNREADABLE = "unreadable"
    STALE = "stale"
    MISSING = "missing"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"


WITH_RESULTS = (Kind.DONE, Kind.OTHER_CODE)
"""The kinds of runs at rest that an analysis reads."""


class State(NamedTuple):
    """A run's kind, and the reason in words."""

    kind: Kind
    reason: str


@contextmanager
def claimed(cell: Cell) -> Iterator[None]:
    """Hold the cell's run for this process until it ends, and complete the moves that a killed process left.

    Raises:
        ChapterError: another process holds it.
    """
    found = state(cell)
    if found.kind == Kind.RUNNING:
        raise ChapterError(f"{cell.name} is running, {found.reason}; wait for it, or stop it")
    refusal = ChapterError(f"{cell.name} is running: another process has just started it")
    with files.held(_lock(cell), refusal, _LOCK_SECONDS):
        records.settle(cell)
        yield


def write_status(cell: Cell, state: Literal["running", "failed", "interrupted"], error: str = "") -> None:
    """Write the status of the cell's training, for this process on this machine."""
    status = Status(state=state, host=platform.node(), pid=os.getpid(), since=now(), error=error)
    files.write_text(_status_path(cell), status.model_dump_json(indent=2) + "\n")


def touch_status(cell: Cell) -> None:
    """Show other machines that the run goes on."""
    _status_path(cell).touch()


def tidy(cell: Cell) -> None:
    """Complete the moves that a killed process left, and remove the files that a finished run does not need.

    An unfinished training beside a record is kept while it can be resumed, and its status until the run is done. The
    process must hold the run.
    """
    records.settle(cell)
    done = at_rest(cell).kind == Kind.DONE
    if done:
        _status_path(cell).unlink(missing_ok=True)
    if done or (records.read_record(cell) and not _resumable(cell)):
        records.drop_unfinished(cell)


def state(cell: Cell) -> State:
    """Return the state of a cell's run, with the reason."""
    status = _read_status(cell)
    if status and status.state == "running" and _alive(cell, status):
        return State(
            Kind.RUNNING,
            f"since {status.since} on {status.host}, as process {status.pid} (executed/{cell.name}/status.json)",
        )
    return at_rest(cell)


def states(study: Study) -> list[tuple[Cell, State]]:
    """Return the state of each run of a study."""
    return [(cell, state(cell)) for cell in study.cells]


def pending(study: Study, rerun: str = "") -> list[tuple[Cell, State]]:
    """Return the cells that a sweep would run, with the reason; `rerun="code"` adds those made by other code."""
    keep = {*WITH_RESULTS, Kind.RUNNING, Kind.UNREADABLE}
    if rerun == "code":
        keep.remove(Kind.OTHER_CODE)
    return [(cell, found) for cell, found in states(study) if found.kind not in keep]


def at_rest(cell: Cell) -> State:
    """Return the state of a run that no other process holds."""
    status, record = _read_status(cell), records.read_record(cell)
    if record:
        return _judged(cell, record, status)
    if records.is_of_another_version(cell):
        return State(Kind.STALE, "its record was written by another version of this project")
    if (records.folder(cell) / "record.json").exists():
        return State(Kind.UNREADABLE, "record.json is damaged; remove it to run the cell again")
    if not status:
        return State(Kind.MISSING, "never run")
    if status.state == "failed":
        return State(Kind.FAILED, status.error)
    return State(Kind.INTERRUPTED, f"begun {status.since} and stopped; it goes on from its last whole epoch")


def _judged(cell: Cell, record: Record, status: Status | None) -> State:
    kind, reason = _compared(cell, record)
    if kind == Kind.DONE or status is None or status.since <= record.finished:
        return State(kind, reason)
    ending = f"failed: {status.error}" if status.state == "failed" else "was interrupted"
    return State(kind, f"{reason}; the new training {ending}")


def _compared(cell: Cell, record: Record) -> State:
    """Compare a record with the inputs and the code of today."""
    dataset = dataset_digest(cell.dataset)
    if dataset is None:
        return State(Kind.STALE, f"the data it was made from is gone: no good manifest data/{cell.dataset}.json")
    if not records.matches(record, cell, dataset):
        changed = _changed_settings(cell, record.cell)
        return State(Kind.STALE, f"changed: {changed}" if changed else "the dataset's content changed")
    if record.code_digest != code_digest(cell):
        return State(Kind.OTHER_CODE, "made by other code than today's")
    return State(Kind.DONE, f"finished {record.finished}")


def _changed_settings(today: Cell, then: Cell) -> str:
    new, old = (flat(cell.settings.model_dump(exclude=WITHOUT_EFFECT)) for cell in (today, then))
    keys = [key for key in new | old if new.get(key) != old.get(key)]
    return ", ".join(f"{key} {old.get(key, 'absent')} -> {new.get(key, 'absent')}" for key in keys)


def _resumable(cell: Cell) -> bool:
    """Return whether an unfinished training was begun from the inputs and the code of today."""
    dataset = dataset_digest(cell.dataset)
    try:
        progress = files.read_sealed(records.unfinished(cell) / "progress.json")
    except (OSError, DataError):
        return False
    return dataset is None or progress["made_from"] == made_from(cell, dataset)


def _status_path(cell: Cell) -> Path:
    return records.folder(cell) / "status.json"


def _read_status(cell: Cell) -> Status | None:
    try:
        return Status.model_validate_json(_status_path(cell).read_bytes())
    except (OSError, ValidationError):
        return None


def _alive(cell: Cell, status: Status) -> bool:
    """Return whether a process holds the run.

    A process id proves nothing, since it may have been reused. The lock of another machine may be invisible on a shared
    disk, so a status that was touched recently counts too.
    """
    if files.is_held(_lock(cell)):
        return True
    if status.host == platform.node():
        return False
    return time.time() - _status_path(cell).stat().st_mtime < _SILENCE_SECONDS


def _lock(cell: Cell) -> Path:
    return records.folder(cell) / ".lock"
