"""What the pending runs of a study need: their data, and time, from the results that there are."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import mean

from lib.clock import duration
from lib.errors import DataError
from lib.runs import records
from lib.runs.digests import dataset_digest
from lib.study.cells import AXES, Cell
from lib.study.study import Study


def require_data(datasets: Iterable[str]) -> None:
    """Require that datasets have a store; `DataError` names one that has none."""
    for dataset in datasets:
        if dataset_digest(dataset) is None:
            raise DataError(f"data/{dataset} is not prepared, or damaged: make data DATASET={dataset}")


def time_left(study: Study, cells: list[Cell]) -> str:
    """Estimate how long the cells take one after another, from the study's results of the same kind.

    Runs are of one kind if they differ only in the seed.
    """
    seconds = defaultdict(list)
    for cell, record in {entry.cell: record for entry, record in records.finished(study)}.items():
        seconds[_kind(cell)].append(record.seconds)
    known = [mean(seconds[_kind(cell)]) for cell in cells if _kind(cell) in seconds]
    unknown = len(cells) - len(known)
    if not known:
        return "how long is not known before a first record; make plan measures a few steps"
    more = f", and {unknown} runs of a kind that has no record yet" if unknown else ""
    return f"about {duration(sum(known))}{more}"


def _kind(cell: Cell) -> tuple[str | None, ...]:
    return tuple(getattr(cell, axis) for axis in AXES)
