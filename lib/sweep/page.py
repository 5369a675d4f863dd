"""The live page of sweeps, `executed/index.html`: the table of `make status`, curves and links, without a server.

Each sweep writes the part of its study, and joins the parts of all studies into the page, the newest first.
"""

from contextlib import suppress
from html import escape

from lib import files, paths
from lib.clock import now
from lib.errors import DataError
from lib.runs import log, records, status
from lib.runs.state import NOTHING_AGAIN, WITH_RESULTS, Choice
from lib.study.cells import Cell
from lib.study.study import Study
from lib.sweep.watching import Row, View, Watch

_WIDTH, _HEIGHT = 160, 36
"""The size of a curve, in pixels."""

_CURVES = {"train_accuracy": "train", "val_accuracy": "val"}
"""The columns of the epoch log that are drawn, each with the class of its line."""

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="10">
<meta name="viewport" content="width=device-width">
<title>Sweeps</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em; color: #222 }
h1 { font-size: 1.3em; margin: 1.5em 0 0 }
p { margin: .2em 0 }
table { border-collapse: collapse; width: 100%; margin: .6em 0 }
th, td { text-align: left; vertical-align: middle; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd }
td:not(:nth-child(3)) { white-space: nowrap }
pre { margin: .4em 0; white-space: pre-wrap }
svg { display: block; background: #f6f6f6 }
polyline { fill: none; stroke-width: 1.5; stroke-linecap: round }
.val { color: #0072b2; stroke: #0072b2 }
.train { color: #999; stroke: #999 }
.running td:nth-child(2) { color: #007a5e; font-weight: bold }
.failed td:nth-child(2) { color: #c0392b; font-weight: bold }
.time { color: #666 }
</style>
"""


class _Busy(Exception):
    """Another sweep writes the page."""


class Page:
    """Writes a study's part of the page, with all its runs, also in a sweep of some; a result is drawn once."""

    def __init__(self, study: Study, choice: Choice = NOTHING_AGAIN) -> None:
        self._study, self._watch = study, Watch(study, study.cells, choice)
        self._drawn: dict[Row, str] = {}

    def write(self) -> None:
        """Write the page, whole or not at all; what stands in the way, such as a full disk, ends no sweep."""
        parts = paths.EXECUTED / ".page"
        with suppress(OSError, _Busy), files.held(parts / ".lock", _Busy(), seconds=5):
            files.write_text(parts / f"{self._study.name}.html", self._part(self._watch.look()), durable=False)
            newest = sorted(parts.glob("[!.]*.html"), key=lambda path: path.stat().st_mtime, reverse=True)
            text = "".join(path.read_text(encoding="utf-8") for path in newest)
            files.write_text(paths.EXECUTED / "index.html", _HEAD + text, durable=False)

    def _part(self, view: View) -> str:
        rows = "".join(self._row(row) for row in view.by_interest)
        curve = 'accuracy, 0 to 1, by epoch: <span class="val">val</span>, <span class="train">train</span>'
        return (
            f"<h1>{escape(self._study.name)}: {escape(self._study.title)}</h1>\n<p>{escape(view.line)}</p>\n"
            f'<p class="time">written {now()}, by the sweep</p>\n'
            f"<table>\n<tr><th>run<th>state<th>how far, or why<th>{curve}<th>files</tr>\n{rows}</table>\n"
        )

    def _row(self, row: Row) -> str:
        if row in self._drawn:
            return self._drawn[row]
        kind = "failed" if row.failed else "running" if row.live else ""
        cells = (escape(row.cell.name), row.state.kind, _told(row), _curve(row.cell), _links(row.cell))
        text = f'<tr class="{kind}">{"".join(f"<td>{cell}" for cell in cells)}</tr>\n'
        if row.state.kind in WITH_RESULTS:
            self._drawn[row] = text
        return text


def _told(row: Row) -> str:
    """Return how far a run is, or why, and below it the last lines of a failed run's log."""
    told, lines = escape(str(row.live or row.state.reason)), escape("\n".join(row.last_lines))
    return told + (f"<details><summary>last lines</summary><pre>{lines}</pre></details>" if lines else "")


def _curve(cell: Cell) -> str:
    """Return the run's accuracies so far as an inline SVG, or nothing where it has no whole epoch."""
    places = [folder / "epochs.csv" for folder in (records.unfinished(cell), records.folder(cell))]
    path = next((path for path in places if path.exists()), None)
    try:
        table = log.read(path) if path else None
    except (OSError, DataError):  # it is being moved, or damaged
        table = None
    if table is None:
        return ""
    lines = []
    for column, name in _CURVES.items():
        known = table[["epoch", column]].dropna()
        points = [
            f"{_WIDTH * epoch / cell.settings.epochs:.1f},{_HEIGHT * (1 - share):.1f}"
            for epoch, share in known.itertuples(index=False)
        ]
        last_twice = " ".join([*points, *points[-1:]])  # a line of one point is not drawn
        lines.append(f'<polyline class="{name}" points="{last_twice}"/>')
    last = f"epoch {len(table)}: val {table.val_accuracy.iloc[-1]:.3f}, train {table.train_accuracy.iloc[-1]:.3f}"
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg {size} role="img"><title>{last}</title>{"".join(lines)}</svg>'


def _links(cell: Cell) -> str:
    """Return links to the run's executed notebook and its log, as far as they are there, relative to the page."""
    found = {"notebook": records.folder(cell) / "notebook.ipynb", "log": status.console(cell)}
    links = (f'<a href="{escape(cell.name)}/{path.name}">{name}</a>' for name, path in found.items() if path.exists())
    return " ".join(links)
