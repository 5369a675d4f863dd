"""The runs of a study as they stand, looked at again and again: what runs, how fast, and how long it all takes."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from lib.clock import duration
from lib.runs import live, records
from lib.runs.live import Live
from lib.runs.state import NOTHING_AGAIN, WITH_RESULTS, Choice, State, pending, state
from lib.runs.status import FAILURES, Kind, console, read
from lib.study.cells import Cell
from lib.study.study import Study
from lib.sweep.plan import Times, times

_FIRST = (Kind.RUNNING, *FAILURES, Kind.UNREADABLE, Kind.INTERRUPTED, Kind.STALE, Kind.MISSING, Kind.OTHER_CODE)
"""The order in which a reader wants to see runs."""


class Row(NamedTuple):
    """A run: its cell, its state, and how far it is if it is running."""

    cell: Cell
    state: State
    live: Live | None

    @property
    def text(self) -> str:
        """How far a run is, or the reason of its state; a failed run's console log is named."""
        if self.live:
            return str(self.live)
        log = f" ({console(self.cell).relative_to(console(self.cell).parents[2])})" if self.failed else ""
        return f"{self.state.reason}{log}"

    @property
    def failed(self) -> bool:
        """Whether the run ended by itself without a result."""
        return self.state.kind in FAILURES

    @property
    def last_lines(self) -> list[str]:
        """The last lines of a failed run's console log."""
        status = read(self.cell) if self.failed else None
        return status.last_lines if status else []

    def content(self) -> dict[str, object]:
        """Return the row as plain values."""
        return {
            "run": self.cell.name,
            "state": self.state.kind,
            "reason": self.state.reason,
            "live": self.live.model_dump() if self.live else None,
            "log": str(console(self.cell)) if console(self.cell).exists() else None,
            "last_lines": self.last_lines,
        }


class View(NamedTuple):
    """The rows of a moment, how many of them a sweep leaves as they are, with results, and how long the others take."""

    rows: list[Row]
    done: int
    times: Times

    def count(self, *kinds: Kind) -> int:
        """Return the number of runs of these kinds."""
        return sum(row.state.kind in kinds for row in self.rows)

    @property
    def counts(self) -> dict[Kind, int]:
        """The number of runs of each kind, in the order of the rows."""
        return dict(Counter(row.state.kind for row in self.rows))

    @property
    def by_interest(self) -> list[Row]:
        """The rows, the running and the failed ones first, and the finished ones last."""
        order = {kind: place for place, kind in enumerate(_FIRST)}
        return sorted(self.rows, key=lambda row: order.get(row.state.kind, len(order)))

    @property
    def places(self) -> list[tuple[Kind, Live | None]]:
        """The kind of each run, and how far it is: what changes while a sweep goes on."""
        return [(row.state.kind, row.live) for row in self.rows]

    @property
    def seconds(self) -> float:
        """The seconds until the sweep's end, at as many runs at a time as there are now."""
        running = [row.live.seconds_left for row in self.rows if row.live]
        return (sum(running) + sum(self.times.seconds.values())) / max(1, self.count(Kind.RUNNING))

    @property
    def line(self) -> str:
        """The whole sweep in one line."""
        failed, unknown = self.count(*FAILURES), self.times.runs - len(self.times.seconds)
        parts = [f"{self.done} of {len(self.rows)} done", f"{self.count(Kind.RUNNING)} running"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"about {duration(self.seconds)} left"] if self.seconds else []
        parts += [f"{unknown} runs of unknown length"] if unknown else []
        return ", ".join(parts)


class Watch:
    """Looks at runs of a study, for a sweep of some choice; one with a result is read again when its folder changes."""

    def __init__(self, study: Study, cells: Sequence[Cell], choice: Choice = NOTHING_AGAIN) -> None:
        self._study, self._cells, self._choice = study, cells, choice
        self._kept: dict[Cell, tuple[int, Row]] = {}
        self._known: tuple[int, set[str]] | None = None
        self._times = Times({}, 0)

    def look(self) -> View:
        """Return how the runs stand now."""
        rows = [self._row(cell) for cell in self._cells]
        left = [cell for cell, _ in pending(((row.cell, row.state) for row in rows), self._choice)]
        names = {cell.name for cell in left}
        results = [row.cell.name for row in rows if row.state.kind in WITH_RESULTS]
        known = (len(results), names)
        if known != self._known:  # a result, from which more may be known
            self._known, self._times = known, times(self._study, left)
        return View(rows, sum(name not in names for name in results), self._times)

    def _row(self, cell: Cell) -> Row:
        # Taken before the files are read. Each training begins with a new file in the folder, and an acceptance is one.
        changed = records.changed(records.folder(cell))
        before, row = self._kept.get(cell, (None, None))
        if row and before == changed:
            return row
        found = state(cell)
        row = Row(cell, found, live.read(cell) if found.kind == Kind.RUNNING else None)
        if found.kind in WITH_RESULTS:
            self._kept[cell] = (changed, row)
        return row
