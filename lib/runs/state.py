"""The state of a run, determined by its files only.

A run has a result if, and only if, its record is there and names the inputs that the cell has today.
"""

import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lib import files
from lib.errors import ChapterError, DataError
from lib.runs import acceptance, records, status
from lib.runs.digests import code_digest, dataset_digest, made_from
from lib.runs.records import Record
from lib.runs.status import FAILURES, Kind, Status
from lib.study.cells import Cell
from lib.study.nested import flat
from lib.study.settings import WITHOUT_EFFECT

LOCK = ".lock"
"""The name of the file in a run's folder that the process which trains it holds."""

_SILENCE_SECONDS = 600
"""A run on another machine counts as interrupted after this time without a sign."""

_LOCK_SECONDS = 1
"""The wait for a run's lock, since a process that checks the lock shares it for an instant."""


WITH_RESULTS = (Kind.DONE, Kind.ACCEPTED, Kind.OTHER_CODE)
"""The kinds of runs at rest that an analysis reads."""


class State(NamedTuple):
    """A run's kind, and the reason in words."""

    kind: Kind
    reason: str


class RunIsHeld(ChapterError):
    """Another process trains the run."""


class Choice(NamedTuple):
    """What a sweep runs again: runs made by other code, if `rerun` is "code", and with `retry` those given up."""

    rerun: str = ""
    retry: bool = False


NOTHING_AGAIN = Choice()


@contextmanager
def claimed(cell: Cell) -> Iterator[None]:
    """Hold the cell's run for this process until it ends, and complete the moves that a killed process left.

    Raises:
        RunIsHeld: another process holds it.
    """
    with held(records.folder(cell)):
        records.settle(cell)
        yield


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the run of a folder, as `claimed`, also where no study names it; its files stay as they are."""
    if reason := _running(folder):
        raise RunIsHeld(f"{folder.name} is running, {reason}; wait for it, or stop it")
    refusal = RunIsHeld(f"{folder.name} is running: another process has just started it")
    with files.held(folder / LOCK, refusal, _LOCK_SECONDS):
        yield


def tidy(cell: Cell) -> None:
    """Complete the moves that a killed process left, and remove the files that a finished run does not need.

    An unfinished training beside a record is kept while it can be resumed, and its status until the run is done. The
    process must hold the run.
    """
    records.settle(cell)
    for path in unneeded(cell):
        records.drop_unfinished(cell) if path.is_dir() else path.unlink()


def is_tidy(cell: Cell) -> bool:
    """Return whether there is nothing for `tidy` to look at; quick, since the run is not held."""
    return not any(path.exists() for path in (records.unfinished(cell), status.path(cell), acceptance.path(cell)))


def unneeded(cell: Cell) -> list[Path]:
    """Return the files and folders that a finished run does not need; the process must hold the run."""
    done = at_rest(cell).kind == Kind.DONE
    found = [status.path(cell), acceptance.path(cell)] if done else []
    if done or (records.read_record(cell) and not _resumable(cell)):
        found.append(records.unfinished(cell))
    return [path for path in found if path.exists()]


def state(cell: Cell) -> State:
    """Return the state of a cell's run, with the reason."""
    reason = _running(records.folder(cell))
    return State(Kind.RUNNING, reason) if reason else at_rest(cell)


def states(cells: Iterable[Cell]) -> list[tuple[Cell, State]]:
    """Return the state of each run."""
    return [(cell, state(cell)) for cell in cells]


def pending(found: Iterable[tuple[Cell, State]], choice: Choice = NOTHING_AGAIN) -> list[tuple[Cell, State]]:
    """Return the runs, of these with their states, that a sweep would make."""
    keep = {*WITH_RESULTS, Kind.RUNNING, Kind.UNREADABLE}
    if choice.rerun == "code":
        keep.remove(Kind.OTHER_CODE)
    left = [(cell, one) for cell, one in found if one.kind not in keep]
    return [(cell, one) for cell, one in left if choice.retry or not status.given_up(cell)]


def at_rest(cell: Cell) -> State:
    """Return the state of a run that no other process holds."""
    found, record = status.read(cell), records.read_record(cell)
    if record:
        return _judged(cell, record, found)
    if records.is_of_another_version(cell):
        return State(Kind.STALE, "its record was written by another version of this project")
    if (records.folder(cell) / "record.json").exists():
        return State(Kind.UNREADABLE, "record.json is damaged; remove it to run the cell again")
    if not found:
        return State(Kind.MISSING, "never run")
    if found.state in FAILURES:
        return State(found.state, _told(cell, found))
    why = found.error or f"begun {found.since} and stopped"
    return State(Kind.INTERRUPTED, f"{why}; it goes on from its last whole epoch")


def _told(cell: Cell, ended: Status) -> str:
    """Return why a training failed, and whether it will be tried again."""
    if not status.given_up(cell):
        return ended.error
    return f"{ended.error}; failed {ended.failures} times in a row: RETRY_FAILED=1 tries it again"


def _judged(cell: Cell, record: Record, ended: Status | None) -> State:
    kind, reason = _compared(cell, record)
    if kind in WITH_RESULTS and (name := records.damaged(cell, record)):
        why = "put back the file that the run left, or remove record.json to run the cell again"
        return State(Kind.UNREADABLE, f"{name} is damaged or gone; {why}")
    if kind == Kind.DONE or ended is None or ended.since <= record.finished:
        return State(kind, reason)
    verb = "failed" if ended.state == Kind.FAILED else f"failed, {ended.state}"
    ending = f"{verb}: {_told(cell, ended)}" if ended.state in FAILURES else "was interrupted"
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
        if accepted := acceptance.read(cell, record):
            return State(Kind.ACCEPTED, f"made by other code than today's, {accepted}")
        return State(Kind.OTHER_CODE, "made by other code than today's")
    return State(Kind.DONE, f"finished {record.finished}")


def _changed_settings(today: Cell, then: Cell) -> str:
    new, old = (flat(cell.settings.model_dump(exclude=WITHOUT_EFFECT)) for cell in (today, then))
    keys = [key for key in new | old if new.get(key) != old.get(key)]
    return ", ".join(f"{key} {old.get(key, 'absent')} -> {new.get(key, 'absent')}" for key in keys)


def seconds_so_far(cell: Cell) -> float:
    """Return the seconds of an unfinished training that its next attempt goes on from, without pauses."""
    progress = _resumable(cell)
    return progress["log"]["seconds"] if progress else 0.0


def _resumable(cell: Cell) -> dict[str, Any] | None:
    """Return the state of an unfinished training if it was begun from the inputs and the code of today."""
    dataset = dataset_digest(cell.dataset)
    try:
        progress = files.read_sealed(records.unfinished(cell) / "progress.json")
    except (OSError, DataError):
        return None
    return progress if dataset is None or progress["made_from"] == made_from(cell, dataset) else None


def _running(folder: Path) -> str | None:
    """Return since when a process trains the run of a folder, and which one, or None where none does.

    A process id proves nothing, since it may have been reused. The lock of another machine may be invisible on a shared
    disk, so a status that was touched recently counts too.
    """
    found = status.read_in(folder)
    if not found or found.state != Kind.RUNNING:
        return None
    if not files.is_held(folder / LOCK):
        touched = (folder / "status.json").stat().st_mtime
        if found.host == platform.node() or time.time() - touched >= _SILENCE_SECONDS:
            return None
    return f"since {found.since} on {found.host}, as process {found.pid} (executed/{folder.name}/status.json)"
