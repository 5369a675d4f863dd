"""What a study still has to run, why, and how long that will take."""

from collections import defaultdict
from statistics import mean

from lib.progress import duration
from lib.runs import state as runs
from lib.runs.state import Kind, State
from lib.study.params import Cell, Study


def pending(study: Study, rerun: str = "") -> list[tuple[Cell, State]]:
    """Return the cells that a sweep would run, with the reason; `rerun="code"` adds those made by other code."""
    keep = {*runs.WITH_RESULTS, Kind.RUNNING, Kind.UNREADABLE}
    if rerun == "code":
        keep.remove(Kind.OTHER_CODE)
    return [(cell, state) for cell in study.cells if (state := runs.state(cell)).kind not in keep]


def time_left(study: Study, cells: list[Cell]) -> str:
    """Estimate how long the cells take one after another, from the study's results of runs of the same kind."""
    seconds = defaultdict(list)
    for cell in study.cells:
        record = runs.read_record(cell)
        if record and runs.state(cell).kind in runs.WITH_RESULTS:
            seconds[_kind(cell)].append(record.seconds)
    known = [mean(seconds[_kind(cell)]) for cell in cells if _kind(cell) in seconds]
    unknown = len(cells) - len(known)
    if not known:
        return "how long is not known before a first record"
    more = f", and {unknown} runs of a kind that has no record yet" if unknown else ""
    return f"about {duration(sum(known))}{more}"


def _kind(cell: Cell) -> tuple[str, ...]:
    return cell.framework, cell.dataset, cell.model, cell.precision
