"""The states of a study's runs for a reader: text, a table that refreshes on a terminal, or JSON for scripts."""

import json
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lib.runs.status import FAILURES, Kind
from lib.study.cells import Cell
from lib.sweep.watching import View, Watch

_SECONDS = 2
_STYLES = dict.fromkeys(FAILURES, "red") | {Kind.RUNNING: "green", Kind.UNREADABLE: "red", Kind.DONE: "dim"}


def show(watch: Watch) -> None:
    """Print the state of each run; on a terminal, again and again until all are done or the user ends it."""
    if sys.stdout.isatty():
        _refresh(watch)
    else:
        print(text(watch.look()))


def text(view: View) -> str:
    """Return one line per run, the counts, and the sweep in one line."""
    told = lines([(row.cell, row.state.kind, row.text) for row in view.rows])
    return "\n".join([*told, counted(view.counts), view.line])


def lines(runs: Sequence[tuple[Cell, Kind, str]]) -> list[str]:
    """Return one line per run, with its kind and the reason; names are never cut."""
    width = max((len(cell.name) for cell, *_ in runs), default=0)
    return [f"  {cell.name:{width}}  {kind:13}  {reason}" for cell, kind, reason in runs]


def counted(counts: Mapping[Kind, int]) -> str:
    """Return the number of runs of each kind in words."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def as_json(view: View) -> str:
    """Return the runs, their counts, and the seconds until the sweep's end as JSON."""
    content = {
        "runs": [row.content() for row in view.rows],
        "counts": view.counts,
        "seconds_left": view.seconds,
        "runs_of_unknown_length": view.times.runs - len(view.times.seconds),
    }
    return json.dumps(content, indent=2)


def _refresh(watch: Watch) -> None:
    console = Console()
    with Live(console=console, auto_refresh=False) as display:
        while True:
            view = watch.look()
            display.update(_screen(view, console.height), refresh=True)
            if view.done == len(view.rows):
                return
            time.sleep(_SECONDS)


def _screen(view: View, height: int) -> Group:
    """Return as many rows as fit, the running and the failed ones first, above the sweep in one line."""
    rows, room = view.by_interest, max(1, height - 4)
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows[:room]:
        name, kind, reason = (Text(part) for part in (row.cell.name, row.state.kind, row.text))
        table.add_row(name, kind, reason, style=_STYLES.get(row.state.kind, ""))
    more = [Text(f"and {len(rows) - room} more, {rows[room].state.kind} and so on")] if len(rows) > room else []
    return Group(table, *more, Text(view.line, style="bold"))
