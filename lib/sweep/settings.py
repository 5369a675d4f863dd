"""The resolved settings of a study as text: each value, and the layer of the parameters that it comes from."""

from collections.abc import Iterable, Iterator
from itertools import chain, combinations
from typing import Any, NamedTuple

from lib.study.loading import layers
from lib.study.resolution import origins
from lib.study.study import Study

_AXES = ("dataset", "model", "arm", "framework")
_SETS_OF_AXES = list(chain.from_iterable(combinations(_AXES, size) for size in range(len(_AXES) + 1)))
"""What a setting can depend on, the fewest axes first."""


class _Origin(NamedTuple):
    value: str
    layer: str


class _Point(NamedTuple):
    """A level of each axis, and the settings there by their dotted names."""

    levels: dict[str, str]
    settings: dict[str, _Origin]


def settings_text(study: Study) -> str:
    """Return the settings of a study as tables of setting, value and layer.

    The first table holds what all runs share. In the others each setting stands behind the levels of the fewest axes
    that determine it.
    """
    points = list(_points(study))
    axes = {key: _determining(points, key) for point in points for key in point.settings}
    tables: dict[tuple[str, ...], dict[tuple[str, ...], None]] = {}
    for levels, settings in points:
        for key, origin in settings.items():
            row = (*(levels[axis] for axis in axes[key]), key, *origin)
            tables.setdefault(axes[key], {})[row] = None
    return "\n\n".join(_table(axes, tables[axes]) for axes in _SETS_OF_AXES if axes in tables)


def _points(study: Study) -> Iterator[_Point]:
    cells = {(one.cell.dataset, one.cell.model, one.arm, one.cell.framework): one.cell for one in study.entries}
    for levels, cell in cells.items():
        dataset, model, arm, _ = levels
        found = origins(layers(study, dataset, model, arm), cell.settings)
        settings = {key: _Origin(_shown(value), layer) for key, (value, layer) in found.items()}
        yield _Point(dict(zip(_AXES, levels, strict=True)), settings)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _determining(points: list[_Point], key: str) -> tuple[str, ...]:
    """Return the fewest axes whose levels determine a setting's value and layer."""
    return next(axes for axes in _SETS_OF_AXES if _determine(axes, points, key))


def _determine(axes: tuple[str, ...], points: list[_Point], key: str) -> bool:
    found: dict[tuple[str, ...], _Origin | None] = {}
    return all(
        found.setdefault(tuple(levels[axis] for axis in axes), settings.get(key)) == settings.get(key)
        for levels, settings in points
    )


def _table(axes: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([f"by {', '.join(axes)}" if axes else "all runs", *(f"  {line}".rstrip() for line in lines)])
