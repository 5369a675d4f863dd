"""The resolved settings of a study in few rows: what all runs share, and what depends on a level of an axis."""

from collections.abc import Iterable, Iterator
from itertools import chain, combinations
from typing import Any, NamedTuple

from lib.study.loading import layers
from lib.study.resolution import origins
from lib.study.study import Entry, Study

_AXES = ("dataset", "model", "arm", "framework")
_SETS_OF_AXES = list(chain.from_iterable(combinations(_AXES, size) for size in range(len(_AXES) + 1)))
"""What a setting can depend on, the fewest axes first."""


class Row(NamedTuple):
    """A setting by its dotted name, its value and its layer, at the `levels` of the fewest axes that determine it."""

    levels: dict[str, str]
    key: str
    value: Any
    layer: str


class _Point(NamedTuple):
    """A level of each axis, and the value and the layer of each setting there."""

    levels: dict[str, str]
    settings: dict[str, tuple[Any, str]]


def rows(study: Study, entries: Iterable[Entry]) -> list[Row]:
    """Return the settings of some entries of a study, each value once: those of all runs first."""
    points = list(_points(study, entries))
    keys = dict.fromkeys(key for point in points for key in point.settings)
    axes = {key: _determining(points, key) for key in keys}
    found: list[Row] = []
    for levels, settings in points:
        for key, (value, layer) in settings.items():
            row = Row({axis: levels[axis] for axis in axes[key]}, key, value, layer)
            if row not in found:
                found.append(row)
    return sorted(found, key=lambda row: _SETS_OF_AXES.index(tuple(row.levels)))


def _points(study: Study, entries: Iterable[Entry]) -> Iterator[_Point]:
    cells = {(one.cell.dataset, one.cell.model, one.arm, one.cell.framework): one.cell for one in entries}
    for levels, cell in cells.items():
        dataset, model, arm, _ = levels
        settings = origins(layers(study, dataset, model, arm), cell.settings)
        yield _Point(dict(zip(_AXES, levels, strict=True)), settings)


def _determining(points: list[_Point], key: str) -> tuple[str, ...]:
    """Return the fewest axes whose levels determine a setting's value and layer."""
    return next(axes for axes in _SETS_OF_AXES if _determine(axes, points, key))


def _determine(axes: tuple[str, ...], points: list[_Point], key: str) -> bool:
    found: dict[tuple[str, ...], Any] = {}
    return all(
        found.setdefault(tuple(levels[axis] for axis in axes), settings.get(key)) == settings.get(key)
        for levels, settings in points
    )
