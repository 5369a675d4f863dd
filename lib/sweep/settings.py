"""The resolved settings of a study as text: each value, and the layer of the parameters that it comes from."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from lib.study import overview
from lib.study.study import Study


def settings_text(study: Study) -> str:
    """Return the settings of a study as tables of setting, value and layer.

    The first table holds what all runs share. In the others each setting stands behind the levels of the fewest axes
    that determine it.
    """
    tables = groupby(overview.rows(study, study.entries), key=lambda row: tuple(row.levels))
    return "\n\n".join(_table(axes, rows) for axes, rows in tables)


def _table(axes: tuple[str, ...], rows: Iterable[overview.Row]) -> str:
    cells = [(*row.levels.values(), row.key, _shown(row.value), row.layer) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([f"by {', '.join(axes)}" if axes else "all runs", *(f"  {line}".rstrip() for line in lines)])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
