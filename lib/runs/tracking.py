"""A run's log for TensorBoard and for Weights & Biases, where the setting `tracking` asks for it.

Nothing of the project reads these files: they are no products, and code that only writes them is in no code digest. A
failure to write them is told, and ends no training.
"""

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lib.errors import ParameterError, described
from lib.runs import log, records
from lib.study.cells import Cell

_NO_SCORES = ("epoch", "test_images")


def require(cell: Cell) -> None:
    """Refuse a run that asks for Weights & Biases where it is not installed.

    Raises:
        ParameterError: the package is absent; the message names the command that installs it.
    """
    if cell.settings.tracking.wandb and find_spec("wandb") is None:
        raise ParameterError(
            f"{cell.name}: `tracking: {{wandb: true}}` needs a package that is not installed: "
            ".venv/bin/pip install -e '.[wandb]' -c requirements.lock"
        )


def begin(cell: Cell, rows: list[dict[str, Any]]) -> None:
    """Remove what was written of an earlier training, and write the epochs that this attempt goes on from."""
    for folder in (events(cell), _offline(cell)):
        shutil.rmtree(folder, ignore_errors=True)
    if cell.settings.tracking.tensorboard:
        with _harmless(cell):
            events(cell).mkdir(parents=True)
            # A new name each time: a TensorBoard that is open reads a new file, and forgets the epochs it repeats.
            path = events(cell) / f"events.out.tfevents.{int(time.time())}"
            path.touch()
            _append(cell, {row["epoch"]: row for row in rows})


def epoch(cell: Cell, row: dict[str, Any]) -> None:
    """Write the log's row of an epoch that has just ended."""
    if cell.settings.tracking.tensorboard:
        with _harmless(cell):
            _append(cell, {row["epoch"]: row})


def end(cell: Cell, rows: list[dict[str, Any]], result: dict[str, float], epoch_best: int) -> None:
    """Write the test's results at the epoch whose weights were tested, and all of the run for Weights & Biases.

    Its client starts a process of its own, which would share the machine with the training: it is started here, when
    the training has ended.
    """
    if cell.settings.tracking.tensorboard:
        with _harmless(cell):
            logged = log.MEASURED if cell.settings.measurements.test_each_epoch else ()
            _append(cell, {epoch_best: {name: value for name, value in result.items() if name not in logged}})
    if cell.settings.tracking.wandb:
        with _harmless(cell):
            _write_offline(cell, rows, result | {"epoch_best": epoch_best})


def events(cell: Cell) -> Path:
    """Return the folder of a run's event file."""
    return records.folder(cell) / "tensorboard"


def _offline(cell: Cell) -> Path:
    return records.folder(cell) / "wandb"


@contextmanager
def _harmless(cell: Cell) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a client of another project raises
        print(f"{cell.name}: the training goes on, but is not tracked: {described(error)}", flush=True)


def _scores(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of a row by their tags: `train_loss` is `train/loss`."""
    return {re.sub("^(train|val|test)_", r"\1/", name): row[name] for name in row if name not in _NO_SCORES}


def _append(cell: Cell, rows: Mapping[int, Mapping[str, Any]]) -> None:
    """Append one event a row, at its epoch, to the run's event file, whose numbers have single precision.

    TensorBoard's `EventFileWriter` would import TensorFlow, also beside PyTorch; its `RecordWriter` does not.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    (path,) = events(cell).iterdir()
    with path.open("ab") as file:
        writer = RecordWriter(file)
        if not file.tell():
            writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for step, row in rows.items():
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in _scores(row).items()]
            event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
            writer.write(event.SerializeToString())


def _write_offline(cell: Cell, rows: list[dict[str, Any]], result: dict[str, float]) -> None:
    import wandb

    # Set up first: `init(mode="offline")` alone leaves the client's own telemetry on.
    wandb.setup(wandb.Settings(mode="offline", silent=True, console="off", disable_git=True, x_disable_stats=True))
    run = wandb.init(
        project="paired-seeds",
        group=cell.name.replace(f"_seed{cell.seed}", ""),
        name=cell.name,
        config=cell.model_dump(mode="json"),
        dir=records.folder(cell),
    )
    for row in rows:
        run.log(_scores(row), step=row["epoch"])
    run.summary.update(_scores(result))
    run.finish()
