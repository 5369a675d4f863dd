"""What a run leaves on disk, and what that says about it.

A run is done if, and only if, its `record.json` is there and names the inputs that the cell has today.
"""

import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError

from lib import files, paths
from lib.errors import ChapterError, DataError
from lib.runs.digests import code_digest, inputs_digest
from lib.study.params import Cell, Strict

_SILENCE_SECONDS = 600
"""After so long without a sign, a run on another machine counts as interrupted."""

_LOCK_SECONDS = 1
"""So long a run's lock is waited for, since a process that only looks whether it is held shares it for an instant."""


class Record(Strict):
    """The last thing that a run writes: what it was, where it ran, and what came out.

    A field that is added later needs a default, or the records made before it could not be read.

    `accumulation_steps` are those of the run, which are more than the cell's where memory ran out. `products` are the
    files that the run left, each with the SHA-256 of its bytes.
    Accuracies and F1 scores are shares in [0, 1], times are ISO 8601 in UTC, memory is in MiB, the loss in nats.
    """

    run: str
    cell: Cell
    inputs_digest: str
    code_digest: str
    environment: dict[str, str]
    started: str
    finished: str
    parameters: int
    steps_per_epoch: int
    accumulation_steps: int = 1
    epoch_best: int
    acc_best: float
    f1_best: float
    test_accuracy: float
    test_macro_f1: float
    test_loss: float
    test_images: int
    skipped_steps: int
    peak_memory_mb: float | None
    working_seconds: float | None = None
    products: dict[str, str] = Field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long the run took, its pauses left out; records made before that was measured count them."""
        if self.working_seconds is not None:
            return self.working_seconds
        return (datetime.fromisoformat(self.finished) - datetime.fromisoformat(self.started)).total_seconds()


class Status(Strict):
    """How a run stands while it has no record: written beside it, so that a failure can be told from a beginning."""

    state: Literal["running", "failed", "interrupted"]
    host: str
    pid: int
    since: str
    error: str = ""


class Kind(StrEnum):
    """What can be said of a run; only the first two have results."""

    DONE = "done"
    OTHER_CODE = "other code"
    UNREADABLE = "unreadable"
    STALE = "stale"
    MISSING = "missing"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"


WITH_RESULTS = (Kind.DONE, Kind.OTHER_CODE)
"""The kinds of runs that an analysis reads."""


class State(NamedTuple):
    """A run's kind, and the reason in words."""

    kind: Kind
    reason: str


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def folder(cell: Cell) -> Path:
    """Return the folder that carries the run's name."""
    return paths.EXECUTED / cell.name


def read_record(cell: Cell) -> Record | None:
    """Return the run's record, or None where there is none that can be read."""
    try:
        return Record.model_validate_json(json.dumps(files.read_sealed(folder(cell) / "record.json")))
    except (OSError, DataError, ValidationError):
        return None


def product(cell: Cell, name: str) -> Path:
    """Return the path of a file that a finished run left, such as `epochs.csv`.

    Raises:
        DataError: the file is gone, or it is not the one that the run's record names.
    """
    path, record = folder(cell) / name, read_record(cell)
    checksum = record.products.get(name) if record else None
    if not (files.is_intact(path, checksum) if checksum else path.exists()):
        raise DataError(
            f"{path} is {'damaged' if path.exists() else 'gone'}: put back the file that the run left, "
            "or remove record.json beside it to run the cell again"
        )
    return path


def finished(cell: Cell, dataset_digest: str) -> Record | None:
    """Return the run's record if it was made from the inputs that the cell has today."""
    record = read_record(cell)
    return record if record and record.inputs_digest == inputs_digest(cell, dataset_digest) else None


def write_record(record: Record) -> None:
    """Write the record, whole or not at all: from now on the run is done."""
    files.write_sealed(folder(record.cell) / "record.json", record.model_dump(mode="json"))


def forget_record(cell: Cell) -> None:
    """Remove the record, if there is one: the run is not done, or not any more."""
    (folder(cell) / "record.json").unlink(missing_ok=True)


@contextmanager
def claimed(cell: Cell) -> Iterator[None]:
    """Hold the cell's run for this process; the system lets go of it when the process ends, however it ends.

    Raises:
        ChapterError: another process holds it.
    """
    found = state(cell)
    if found.kind == Kind.RUNNING:
        raise ChapterError(f"{cell.name} is running, {found.reason}; wait for it, or stop it")
    folder(cell).mkdir(parents=True, exist_ok=True)
    refusal = ChapterError(f"{cell.name} is running: another process has just started it")
    with files.held(_lock(cell), refusal, _LOCK_SECONDS):
        yield


def write_status(cell: Cell, state: Literal["running", "failed", "interrupted"], error: str = "") -> None:
    """Write how the run stands, for this process on this machine."""
    status = Status(state=state, host=platform.node(), pid=os.getpid(), since=now(), error=error)
    files.write_text(_status_path(cell), status.model_dump_json(indent=2) + "\n")


def touch_status(cell: Cell) -> None:
    """Show other machines that the run still goes on."""
    _status_path(cell).touch()


def tidy(cell: Cell) -> None:
    """Remove what only an unfinished run needs from the folder of a run that has a record."""
    if read_record(cell):
        _status_path(cell).unlink(missing_ok=True)
        shutil.rmtree(unfinished(cell), ignore_errors=True)


def unfinished(cell: Cell) -> Path:
    """Return the folder of what a stopped run goes on from."""
    return folder(cell) / "last"


def dataset_digest(dataset: str) -> str | None:
    """Return a dataset's content digest from its store's manifest, or None where there is no good manifest."""
    try:
        return files.read_sealed(paths.manifest(dataset))["digest"]
    except (OSError, DataError, KeyError):
        return None


def state(cell: Cell) -> State:
    """Say how a cell's run stands, and why."""
    status = _read_status(cell)
    if status and status.state == "running" and _alive(cell, status):
        return State(
            Kind.RUNNING,
            f"since {status.since} on {status.host}, as process {status.pid} (executed/{cell.name}/status.json)",
        )
    return at_rest(cell)


def at_rest(cell: Cell) -> State:
    """Say how a run stands that no process holds, or this one alone."""
    status = _read_status(cell)
    record = read_record(cell)
    if record:
        return _judge(cell, record)
    if (folder(cell) / "record.json").exists():
        return State(Kind.UNREADABLE, "record.json is damaged or of another version; remove it to run the cell again")
    if not status:
        return State(Kind.MISSING, "never run")
    if status.state == "failed":
        return State(Kind.FAILED, status.error)
    return State(Kind.INTERRUPTED, f"begun {status.since} and stopped; it goes on from its last whole epoch")


def _judge(cell: Cell, record: Record) -> State:
    dataset = dataset_digest(cell.dataset)
    if dataset is None:
        return State(Kind.STALE, f"the data it was made from is gone: no good manifest data/{cell.dataset}.json")
    if not finished(cell, dataset):
        changed = _changed_settings(cell, record.cell)
        return State(Kind.STALE, f"changed: {changed}" if changed else "the dataset's content changed")
    if record.code_digest != code_digest(cell.framework):
        return State(Kind.OTHER_CODE, "made by other code than today's")
    return State(Kind.DONE, f"finished {record.finished}")


def _changed_settings(today: Cell, then: Cell) -> str:
    new, old = today.settings.model_dump(), then.settings.model_dump()
    return ", ".join(f"{key} {old[key]} -> {new[key]}" for key in new if old[key] != new[key])


def _status_path(cell: Cell) -> Path:
    return folder(cell) / "status.json"


def _read_status(cell: Cell) -> Status | None:
    try:
        return Status.model_validate_json(_status_path(cell).read_bytes())
    except (OSError, ValidationError):
        return None


def _alive(cell: Cell, status: Status) -> bool:
    """Whether a process holds the run.

    A process id alone says nothing: it may have been given to another process since. A lock of another machine may not
    be seen through a shared disk, so there a status that was touched lately counts too.
    """
    if files.is_held(_lock(cell)):
        return True
    if status.host == platform.node():
        return False
    return time.time() - _status_path(cell).stat().st_mtime < _SILENCE_SECONDS


def _lock(cell: Cell) -> Path:
    return folder(cell) / ".lock"
