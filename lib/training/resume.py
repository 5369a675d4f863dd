"""Resuming a stopped training: its log so far, and the state after its newest whole epoch."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lib import files
from lib.clock import now
from lib.errors import DataError
from lib.runs import live, records
from lib.runs import log as epoch_log
from lib.runs.digests import made_from
from lib.runs.records import Record
from lib.study.cells import Cell
from lib.training.learner import Learner


@dataclass
class Log:
    """The epochs of a run so far, one row each, and what its record needs beside them.

    `layers` are the rows of `layers.csv`, where the run measures its layers, and `machine` those of `machine.csv`.
    `seconds` are those of all attempts, without the pauses between them and without the epochs that a stop cut off.
    `checkpoint` is the SHA-256 of the best epoch's weights, and `record` that of a run that is shown and not trained.
    """

    accumulation_steps: int
    started: str = field(default_factory=now)
    rows: list[dict[str, Any]] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    machine: list[dict[str, Any]] = field(default_factory=list, compare=False)
    skipped_steps: int = 0
    seconds: float = 0.0
    checkpoint: str = field(default="", compare=False)
    record: Record | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        self._counted = time.monotonic()  # not a field: the clock starts anew with each attempt

    @classmethod
    def of(cls, record: Record) -> "Log":
        """Read the log of a finished run."""
        rows = epoch_log.read(records.product(record.cell, "epochs.csv")).to_dict("records")
        counted = {"skipped_steps": record.skipped_steps, "seconds": record.seconds}
        return cls(record.accumulation_steps, record.started, rows, record=record, **counted)

    def append(self, row: dict[str, Any], skipped: int) -> None:
        """Add an epoch, and the number of its steps that a loss scale skipped."""
        self.rows.append({column: row[column] for column in epoch_log.columns([row])})
        self.skipped_steps += skipped
        self.count_seconds()

    def watch(self, moment: str, state: dict[str, float]) -> None:
        """Add a state of the machine after so many epochs as are in the log; `moment` is start, epoch or end."""
        self.machine.append({"moment": moment, "epoch": len(self.rows)} | state)

    def count_seconds(self) -> None:
        """Add the time since the last call, or since the attempt began."""
        instant = time.monotonic()
        self.seconds += instant - self._counted
        self._counted = instant

    @property
    def best(self) -> dict[str, Any]:
        """The row with the highest val accuracy; the first of them where several are equal."""
        return max(self.rows, key=lambda row: row["val_accuracy"])

    def frame(self) -> pd.DataFrame:
        """Return the rows as a table, with the columns of `epochs.csv`."""
        return pd.DataFrame(self.rows)


def checkpoint(cell: Cell, learner: Learner, log: Log) -> Path:
    """Return the path of the best epoch's weights while the run is not finished."""
    return records.unfinished(cell) / f"best{log.best['epoch']:04d}{learner.weights_suffix}"


class Resume:
    """The state of a run in `last/`: that after the newest epoch, and the weights of the best one.

    `progress.json` names both by epoch and checksum. It is replaced when both are whole, and only then their
    predecessors are removed: the files that it names are there at any instant.
    """

    def __init__(self, cell: Cell, dataset_digest: str) -> None:
        self._cell, self._folder = cell, records.unfinished(cell)
        self._accumulation_steps = cell.settings.accumulation_steps
        self._made_from = made_from(cell, dataset_digest)

    def load(self, learner: Learner) -> Log:
        """Return the log of an earlier attempt and restore the learner's state; an empty log where there is none.

        An attempt with other inputs, by other code or with damaged files is dropped.
        """
        try:
            log, state = self._earlier_attempt(learner)
        except FileNotFoundError:  # no epoch was kept whole
            return Log(self._accumulation_steps)
        except DataError as problem:
            print(f"{self._cell.name}: {problem}: starting afresh", flush=True)
            self.drop()
            return Log(self._accumulation_steps)
        if log.accumulation_steps != self._accumulation_steps:
            learner.restart(log.accumulation_steps)
        learner.load_state(state)
        return log

    def _earlier_attempt(self, learner: Learner) -> tuple[Log, Path]:
        """Return an earlier attempt's log and state; `DataError` where it cannot be resumed."""
        content = files.read_sealed(self._folder / "progress.json")
        differs = [part for part, digest in self._made_from.items() if content["made_from"][part] != digest]
        if differs:
            raise DataError(f"an earlier attempt had other {' and '.join(differs)}")
        log, state = Log(**content["log"]), self._folder / content["state"]
        for path, checksum in ((state, content["checksum"]), (checkpoint(self._cell, learner, log), log.checkpoint)):
            if not files.is_intact(path, checksum):
                raise DataError(f"{path.name} is damaged or gone")
        return log, state

    def save(self, learner: Learner, log: Log) -> None:
        """Write the log, the state after its last epoch, and its weights if they are the best; remove older ones."""
        state = self._folder / f"epoch{len(log.rows):04d}{learner.state_suffix}"
        weights, progress = checkpoint(self._cell, learner, log), self._folder / "progress.json"
        epochs = self._folder / "epochs.csv"
        epoch_log.write(epochs, log.rows)
        if log.best is log.rows[-1]:
            with files.replacing(weights) as temporary:
                learner.save_weights(temporary)
                log.checkpoint = files.sha256(temporary)
        with files.replacing(state) as temporary:
            learner.save_state(temporary)
            checksum = files.sha256(temporary)
        content = {"made_from": self._made_from, "state": state.name, "checksum": checksum, "log": asdict(log)}
        files.write_sealed(progress, content)
        for older in set(self._folder.iterdir()) - {state, weights, progress, epochs, live.path(self._cell)}:
            older.unlink()

    def drop(self) -> None:
        """Remove the state: the run begins again."""
        records.drop_unfinished(self._cell)
