"""What the pending runs of a study need: their data, and time, from the results that there are or timed steps."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import mean
from typing import NamedTuple

from lib.clock import duration
from lib.errors import DataError
from lib.runs import estimates, records
from lib.runs.digests import dataset_digest
from lib.study.cells import AXES, Cell
from lib.study.study import Study


def datasets(cells: Iterable[Cell]) -> list[str]:
    """Return the datasets of cells, each once, in the cells' order."""
    return list(dict.fromkeys(cell.dataset for cell in cells))


def require_data(cells: Iterable[Cell]) -> None:
    """Require that the cells' datasets have a store; `DataError` names one that has none."""
    for dataset in datasets(cells):
        if dataset_digest(dataset) is None:
            raise DataError(f"data/{dataset} is not prepared, or damaged: make data DATASET={dataset}")


class Times(NamedTuple):
    """How long runs take: the seconds of those for which it is known, by name, and how many of these are estimates.

    `by_results`: whether the study has results that say so.
    """

    seconds: dict[str, float]
    runs: int
    estimated: int = 0
    by_results: bool = False

    def __str__(self) -> str:
        """Return the sum in words, with the number of runs that are estimated, or not known at all."""
        if not self.seconds:
            return "how long is not known before a first record; make plan measures a few steps"
        unknown = self.runs - len(self.seconds)
        more = f", {self.estimated} of the runs by timed steps alone" if self.estimated else ""
        more += f", and {unknown} runs of a kind that has no record yet" if unknown else ""
        return f"about {duration(sum(self.seconds.values()))}{more}"


def times(study: Study, cells: list[Cell]) -> Times:
    """Estimate how long the cells take one after another, from the study's results of the same kind.

    Runs are of one kind if they differ only in the seed. A kind without a result takes what the pre-flight estimated,
    times the ratio of results to estimates of the same framework, or else of all.
    """
    kinds, guesses, ratios = defaultdict(list), estimates.read(), defaultdict(list)
    for cell, record in {entry.cell: record for entry, record in records.finished(study)}.items() if cells else ():
        kinds[_kind(cell)].append(record.seconds)
        if guess := guesses.get(cell.name):
            for group in (cell.framework, "all"):
                ratios[group].append(record.seconds / guess)
    measured = {cell.name: mean(kinds[_kind(cell)]) for cell in cells if _kind(cell) in kinds}
    estimated = {
        cell.name: guesses[cell.name] * mean(ratios.get(cell.framework) or ratios.get("all") or [1.0])
        for cell in cells
        if cell.name not in measured and cell.name in guesses
    }
    return Times(measured | estimated, len(cells), len(estimated), bool(kinds))


def _kind(cell: Cell) -> tuple[str | None, ...]:
    return tuple(getattr(cell, axis) for axis in AXES)
