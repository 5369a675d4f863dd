"""The runs of a study that are pending, why, and how long they will take."""

from collections import defaultdict
from statistics import mean

from lib.clock import duration
from lib.runs import records
from lib.runs.state import WITH_RESULTS, Kind, State, state
from lib.study.cells import AXES, Cell
from lib.study.study import Study


def states(study: Study) -> list[tuple[Cell, State]]:
    """Return the state of each run of a study."""
    return [(cell, state(cell)) for cell in study.cells]


def pending(study: Study, rerun: str = "") -> list[tuple[Cell, State]]:
    """Return the cells that a sweep would run, with the reason; `rerun="code"` adds those made by other code."""
    keep = {*WITH_RESULTS, Kind.RUNNING, Kind.UNREADABLE}
    if rerun == "code":
        keep.remove(Kind.OTHER_CODE)
    return [(cell, found) for cell, found in states(study) if found.kind not in keep]


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
        return "how long is not known before a first record"
    more = f", and {unknown} runs of a kind that has no record yet" if unknown else ""
    return f"about {duration(sum(known))}{more}"


def _kind(cell: Cell) -> tuple[str | None, ...]:
    return tuple(getattr(cell, axis) for axis in AXES)
