"""What lets a stopped run go on: its log so far, and the state after its newest whole epoch."""

import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from lib import files
from lib.errors import DataError
from lib.runs import state as runs
from lib.runs.digests import code_digest, inputs_digest
from lib.study.params import Cell

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
    `checkpoint` is the SHA-256 of the best epoch's weights while the run is not finished.
    """

    accumulation_steps: int
    started: str = field(default_factory=runs.now)
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped_steps: int = 0
    seconds: float = 0.0
    checkpoint: str = field(default="", compare=False)

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
        rows = pd.read_csv(runs.product(record.cell, "epochs.csv")).to_dict("records")
        return cls(record.accumulation_steps, record.started, rows, record.skipped_steps, record.seconds)

    @property
    def best(self) -> dict[str, Any]:
        """The row with the highest val accuracy; the first of them where several are equal."""
        return max(self.rows, key=lambda row: row["val_accuracy"])

    def frame(self) -> pd.DataFrame:
        """Return the log as it stands in `epochs.csv`."""
        return pd.DataFrame(self.rows)

    def write(self, cell: Cell) -> None:
        """Write `epochs.csv`."""
        with files.replacing(runs.folder(cell) / "epochs.csv") as temporary:
            self.frame().to_csv(temporary, index=False)


class Stateful(Protocol):
    """The part of a learner that a resume needs."""

    state_suffix: str
    weights_suffix: str

    def restart(self, accumulation_steps: int) -> None:
        """Begin again from the cell's first weights, with so many micro-batches an update."""

    def save_weights(self, path: Path) -> None:
        """Write the model's weights and buffers."""

    def save_state(self, path: Path) -> None:
        """Write all that the next epoch starts from."""

    def load_state(self, path: Path) -> None:
        """Read what `save_state` wrote."""


def checkpoint(cell: Cell, learner: Stateful, log: Log) -> Path:
    """Return where the weights of a run's best epoch lie while the run is not finished."""
    return runs.unfinished(cell) / f"best{log.best['epoch']:04d}{learner.weights_suffix}"


class Resume:
    """The folder `last/` of a run: the state after the newest epoch, and the weights of the best one.

    `progress.json` names both by epoch and checksum. It is replaced after they are whole, and their predecessors go
    after that, so whenever the process is killed, what `progress.json` names is there.
    """

    def __init__(self, cell: Cell, dataset_digest: str) -> None:
        self._cell, self._folder = cell, runs.unfinished(cell)
        self._accumulation_steps = cell.settings.accumulation_steps
        self._made_from = {"inputs": inputs_digest(cell, dataset_digest), "code": code_digest(cell.framework)}

    def load(self, learner: Stateful) -> Log:
        """Return the log of an earlier attempt and put the learner where it was; an empty log where there is none.

        An attempt with other inputs or by other code is not gone on with: one run is made by one code. Nor is one whose
        files are damaged.
        """
        try:
            log, state = self._earlier_attempt(learner)
        except FileNotFoundError:  # nothing was begun, or it was killed before an epoch was kept whole
            return Log(self._accumulation_steps)
        except DataError as problem:
            print(f"{self._cell.name}: {problem}: starting afresh", flush=True)
            self.drop()
            return Log(self._accumulation_steps)
        if log.accumulation_steps != self._accumulation_steps:
            learner.restart(log.accumulation_steps)
        learner.load_state(state)
        return log

    def _earlier_attempt(self, learner: Stateful) -> tuple[Log, Path]:
        """Return an earlier attempt's log and state; `DataError` where it cannot be gone on with."""
        content = files.read_sealed(self._folder / "progress.json")
        differs = [part for part, digest in self._made_from.items() if content["made_from"][part] != digest]
        if differs:
            raise DataError(f"an earlier attempt had other {' and '.join(differs)}")
        log, state = Log(**content["log"]), self._folder / content["state"]
        for path, checksum in ((state, content["checksum"]), (checkpoint(self._cell, learner, log), log.checkpoint)):
            if not files.is_intact(path, checksum):
                raise DataError(f"{path.name} is damaged or gone")
        return log, state

    def save(self, learner: Stateful, log: Log) -> None:
        """Keep the state after the log's last epoch, and its weights if it is the best; then forget those before."""
        state = self._folder / f"epoch{len(log.rows):04d}{learner.state_suffix}"
        weights, progress = checkpoint(self._cell, learner, log), self._folder / "progress.json"
        if log.best is log.rows[-1]:
            with files.replacing(weights) as temporary:
                learner.save_weights(temporary)
                log.checkpoint = files.sha256(temporary)
        with files.replacing(state) as temporary:
            learner.save_state(temporary)
            checksum = files.sha256(temporary)
        content = {"made_from": self._made_from, "state": state.name, "checksum": checksum, "log": asdict(log)}
        files.write_sealed(progress, content)
        for older in set(self._folder.iterdir()) - {state, weights, progress}:
            older.unlink()

    def drop(self) -> None:
        """Remove the folder: the run is done, or begins again."""
        shutil.rmtree(self._folder, ignore_errors=True)
