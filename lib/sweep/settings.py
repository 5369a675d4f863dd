"""The resolved settings of a study as text: each value, and the layer of the parameters that it comes from."""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from lib.study.loading import layers
from lib.study.resolution import origins
from lib.study.study import Study

_AXES = ("dataset", "model", "arm", "framework")
"""The axes that settings can depend on, in the order of the sections; an attribution's switches need the framework."""


class _Origin(NamedTuple):
    value: str
    layer: str


Point = dict[str, str]
"""A level of each axis."""


def settings_text(study: Study) -> str:
    """Return the settings of a study as tables of `setting`, `value` and `from`.

    The first table holds what all runs share. The others hold the rest, each setting under the levels of the fewest
    axes that determine it.
    """
    points = list(_points(study))
    sections: dict[tuple[tuple[str, str], ...], list[tuple[str, _Origin]]] = {}
    for key in dict.fromkeys(key for _, found in points for key in found):
        axes = _determining(points, key)
        for point, found in points:
            rows = sections.setdefault(tuple((axis, point[axis]) for axis in axes), [])
            if key in found and (key, found[key]) not in rows:
                rows.append((key, found[key]))
    ordered = sorted(sections, key=lambda levels: (len(levels), [_AXES.index(axis) for axis, _ in levels]))
    return "\n\n".join(_table(levels, sections[levels]) for levels in ordered if sections[levels])


def _points(study: Study) -> Iterator[tuple[Point, dict[str, _Origin]]]:
    """Yield each point of the axes once, with its settings by dotted name."""
    seen: list[Point] = []
    for entry in study.entries:
        point = {"arm": entry.arm} | {axis: getattr(entry.cell, axis) for axis in _AXES if axis != "arm"}
        if point not in seen:
            seen.append(point)
            stated = layers(study, entry.cell.dataset, entry.cell.model, entry.arm)
            found = origins(stated, entry.cell.settings)
            yield point, {key: _Origin(str(value), layer) for key, (value, layer) in found.items()}


def _determining(points: list[tuple[Point, dict[str, _Origin]]], key: str) -> tuple[str, ...]:
    """Return the fewest axes whose levels determine a setting's value and layer."""
    choices = (axes for size in range(len(_AXES) + 1) for axes in combinations(_AXES, size))
    return next(axes for axes in choices if _determine(axes, points, key))


def _determine(axes: tuple[str, ...], points: list[tuple[Point, dict[str, _Origin]]], key: str) -> bool:
    found: dict[tuple[str, ...], _Origin | None] = {}
    return all(
        found.setdefault(tuple(point[axis] for axis in axes), settings.get(key)) == settings.get(key)
        for point, settings in points
    )


def _table(levels: tuple[tuple[str, str], ...], rows: list[tuple[str, _Origin]]) -> str:
    title = ", ".join(f"{axis} {level}" for axis, level in levels) or "all runs"
    width = max(len(key) for key, _ in rows)
    values = max(len(origin.value) for _, origin in rows)
    lines = [f"  {key:{width}}  {origin.value:{values}}  {origin.layer}" for key, origin in rows]
    return "\n".join([title, *lines])
