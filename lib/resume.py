"""What lets a stopped run go on: its log so far, and the state after its newest whole epoch."""

import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from lib import files, runs
from lib.digests import code_digest, inputs_digest
from lib.params import Cell

COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_macro_f1",
    "epoch_time_seconds",
    "learning_rate",
)
"""The columns of `epochs.csv`."""


@dataclass
class Log:
    """The epochs of a run so far, one row each, and what the record needs besides.

    `seconds` are those of all attempts, without the pauses between them and without what a stopped attempt lost.
    """

    accumulation_steps: int
    started: str = field(default_factory=runs.now)
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped_steps: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._counted = time.monotonic()  # no field: the clock starts anew with each attempt

    def append(self, row: dict[str, Any], skipped: int) -> None:
        """Add an epoch, and the number of its steps that a loss scale skipped."""
        self.rows.append({column: row[column] for column in COLUMNS})
        self.skipped_steps += skipped
        self.count_seconds()

    def count_seconds(self) -> None:
        """Add the time since it was last counted, or since the attempt began."""
        now = time.monotonic()
        self.seconds += now - self._counted
        self._counted = now

    @classmethod
    def of(cls, record: runs.Record) -> "Log":
        """Read the log of a finished run."""
        rows = pd.read_csv(runs.folder(record.cell) / "epochs.csv").to_dict("records")
        return cls(record.accumulation_steps, record.started, rows, record.skipped_steps, record.seconds)

    @property
    def best(self) -> dict[str, Any]:
        """The row with the highest val accuracy; the first of them where several are equal."""
        return max(self.rows, key=lambda row: row["val_accuracy"])

    def frame(self) -> pd.DataFrame:
        """Return the log as it stands in `epochs.csv`."""
        return pd.DataFrame(self.rows)


class Stateful(Protocol):
    """The part of a learner that a resume needs."""

    state_suffix: str

    def restart(self, accumulation_steps: int) -> None:
        """Begin again from the cell's first weights, with so many micro-batches an update."""

    def save_state(self, path: Path) -> None:
        """Write all that the next epoch starts from."""

    def load_state(self, path: Path) -> None:
        """Read what `save_state` wrote."""


class Resume:
    """The folder `last/` of a run.

    `progress.json` names the state file it belongs to and is replaced after that one is whole, so whenever the process
    is killed, the two that are found together belong together.
    """

    def __init__(self, cell: Cell, dataset_digest: str) -> None:
        self._folder = runs.folder(cell) / "last"
        self._accumulation_steps = cell.settings.accumulation_steps
        self._made_from = {"inputs": inputs_digest(cell, dataset_digest), "code": code_digest(cell.framework)}

    def load(self, learner: Stateful) -> Log:
        """Return the log of an earlier attempt and put the learner where it was; an empty log where there is none.

        An attempt with other inputs or by other code is not gone on with: one run is made by one code.
        """
        progress = self._folder / "progress.json"
        if not progress.exists():
            return Log(self._accumulation_steps)
        content = json.loads(progress.read_text(encoding="utf-8"))
        differs = [part for part, digest in self._made_from.items() if content["made_from"][part] != digest]
        if differs:
            print(f"an earlier attempt had other {' and '.join(differs)}: starting afresh", flush=True)
            self.drop()
            return Log(self._accumulation_steps)
        log = Log(**content["log"])
        if log.accumulation_steps != self._accumulation_steps:
            learner.restart(log.accumulation_steps)
        learner.load_state(self._folder / content["state"])
        return log

    def save(self, learner: Stateful, log: Log) -> None:
        """Keep the state after the log's last epoch, then forget the one before."""
        state = self._folder / f"epoch{len(log.rows):04d}{learner.state_suffix}"
        with files.replacing(state) as temporary:
            learner.save_state(temporary)
        content = {"made_from": self._made_from, "state": state.name, "log": asdict(log)}
        files.write_text(self._folder / "progress.json", json.dumps(content, indent=2) + "\n")
        for older in set(self._folder.glob("epoch*")) - {state}:
            older.unlink()

    def drop(self) -> None:
        """Remove the folder: the run is done, or begins again."""
        shutil.rmtree(self._folder, ignore_errors=True)
