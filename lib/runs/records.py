"""The record of a run, by which it is done, and the products that the record vouches for.

A training writes into `last/` in its run's folder. When all products are there, it stages the record beside them, and
then moves the products and, last of all, the record into the run's folder. A staged record whose products are whole is
the run's record already, so that a kill at any instant leaves either the old result or the new one.
"""

import json
import shutil
from collections.abc import Collection, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError

from lib import files, paths
from lib.errors import DataError
from lib.runs.digests import dataset_digest, inputs_digest
from lib.study.cells import Cell, same_settings
from lib.study.strict import Strict
from lib.study.study import Entry, Study


class Record(Strict):
    """What a run was, where it ran, and what came out.

    `accumulation_steps` are those of the run, which are more than the cell's where memory ran out. `products` are the
    run's files, each with the SHA-256 of its bytes. Accuracies and F1 scores are shares in [0, 1], times are ISO 8601
    in UTC, memory is in MiB, the loss in nats; `multiply_adds` are those of one image. A new field needs a default, so
    that older records can be read.
    """

    run: str
    cell: Cell
    inputs_digest: str
    code_digest: str
    environment: dict[str, str]
    started: str
    finished: str
    parameters: int
    multiply_adds: int | None = None
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
        """The run's length without its pauses, in seconds; with them in records without `working_seconds`."""
        if self.working_seconds is not None:
            return self.working_seconds
        return (datetime.fromisoformat(self.finished) - datetime.fromisoformat(self.started)).total_seconds()


def folder(cell: Cell) -> Path:
    """Return the folder of a cell's run."""
    return paths.EXECUTED / cell.name


def unfinished(cell: Cell) -> Path:
    """Return the folder of a training that is not finished: its state, and the products that are staged."""
    return folder(cell) / "last"


def read_record(cell: Cell) -> Record | None:
    """Return the run's record, or None where there is none that can be read."""
    return _staged(cell) or _read(folder(cell))


def matching_record(cell: Cell, dataset_digest: str | None) -> Record | None:
    """Return the run's record if it was made from the cell's inputs of today."""
    record = read_record(cell)
    return record if record and matches(record, cell, dataset_digest) else None


def matches(record: Record, cell: Cell, dataset_digest: str | None) -> bool:
    """Return whether a record was made from the cell's inputs of today.

    The digest leaves defaults out, and a default may have changed since the run: the settings are compared too.
    """
    return record.inputs_digest == inputs_digest(cell, dataset_digest) and same_settings(record.cell, cell)


def finished(study: Study, seeds: Collection[int] | None = None) -> Iterator[tuple[Entry, Record]]:
    """Yield the entries of a study that have a result, each with its record, in the study's order; all or some `seeds`.

    A result of other code counts, and so does one whose run is being made again.
    """
    entries = [entry for entry in study.entries if seeds is None or entry.cell.seed in seeds]
    data = {dataset: dataset_digest(dataset) for dataset in study.datasets}
    cells = dict.fromkeys(entry.cell for entry in entries if data[entry.cell.dataset])
    found = {cell: matching_record(cell, data[cell.dataset]) for cell in cells}
    for entry in entries:
        if record := found.get(entry.cell):
            yield entry, record


def product(cell: Cell, name: str) -> Path:
    """Return the path of a product of a finished run, such as `epochs.csv`.

    Raises:
        DataError: the file is gone, or it is not the one that the run's record names.
    """
    path, record = folder(cell) / name, read_record(cell)
    checksum = record.products.get(name) if record else None
    found = _whole(cell, name, checksum) if checksum else path if path.exists() else None
    if found is None:
        raise DataError(
            f"{path} is {'damaged' if path.exists() else 'gone'}: put back the file that the run left, "
            "or remove record.json beside it to run the cell again"
        )
    return found


def damaged(cell: Cell, record: Record) -> str | None:
    """Return the name of a product of a finished run that is gone or damaged, or None.

    Only a file that was changed after the record was written is read: a run leaves none. Damage of which the file
    system does not know is found by `product`. Weights may be gone, as from an archive: no result is read from them.
    """
    written = changed(folder(cell) / "record.json")
    for name, checksum in record.products.items():
        last = changed(folder(cell) / name)
        untouched = 0 < last <= written or (is_weights(name) and not last)
        if not untouched and _whole(cell, name, checksum) is None:
            return name
    return None


def is_weights(name: str) -> bool:
    """Return whether a run's file of this name holds weights."""
    return name.startswith("best.")


def changed(path: Path) -> int:
    """Return when a file, or the list of a folder's files, was last changed, in nanoseconds; 0 where it is absent."""
    return path.stat().st_mtime_ns if path.exists() else 0


def is_of_another_version(cell: Cell) -> bool:
    """Return whether the run has an undamaged record that another version of this project wrote."""
    try:
        files.read_sealed(folder(cell) / "record.json")
    except (OSError, DataError):
        return False
    return read_record(cell) is None


def write_record(record: Record) -> None:
    """Write the record, whole or not at all, and put it and its staged products in place: the run is done."""
    files.write_sealed(unfinished(record.cell) / "record.json", record.model_dump(mode="json"))
    _put_in_place(record)


def settle(cell: Cell) -> None:
    """Complete what a killed process left of `write_record`."""
    if record := _staged(cell):
        _put_in_place(record)


def drop_unfinished(cell: Cell) -> None:
    """Remove what a training left that is not finished."""
    shutil.rmtree(unfinished(cell), ignore_errors=True)


def _put_in_place(record: Record) -> None:
    for name in (*record.products, "record.json"):
        staged = unfinished(record.cell) / name
        if staged.exists():
            staged.replace(folder(record.cell) / name)
            files.sync(folder(record.cell))
    drop_unfinished(record.cell)


def _staged(cell: Cell) -> Record | None:
    """Return the staged record if its products are whole, be they staged too or in place already."""
    record = _read(unfinished(cell))
    whole = record and all(_whole(cell, name, checksum) for name, checksum in record.products.items())
    return record if whole else None


def _whole(cell: Cell, name: str, checksum: str) -> Path | None:
    places = (unfinished(cell) / name, folder(cell) / name)
    return next((path for path in places if files.is_intact(path, checksum)), None)


def _read(folder: Path) -> Record | None:
    try:
        return _validated((folder / "record.json").read_bytes())
    except OSError:
        return None


@cache
def _validated(content: bytes) -> Record | None:
    """Return the record of a file's content, or None; once, since every table of a study reads all its records."""
    try:
        return Record.model_validate_json(json.dumps(files.unsealed(content, "record.json")))
    except (DataError, ValidationError):
        return None
