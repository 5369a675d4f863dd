"""A part of a study's runs, chosen by the levels of its axes: `ONLY="framework=keras seed=42,123"`."""

from lib.errors import ParameterError
from lib.study.cells import AXES, Cell
from lib.study.study import Study


def selected(study: Study, only: str) -> list[Cell]:
    """Return the cells that have one of the levels named for each axis, separated by commas; all of them for "".

    Raises:
        ParameterError: an axis or a level is unknown; the message names the choices.
    """
    wanted = dict(_condition(study, word) for word in only.split())
    entries = [(entry.cell, {"arm": entry.arm, **_levels(entry.cell)}) for entry in study.entries]
    chosen = [cell for cell, levels in entries if all(levels[axis] in wanted[axis] for axis in wanted)]
    return list({cell.name: cell for cell in chosen}.values())


def _condition(study: Study, word: str) -> tuple[str, list[str]]:
    axis, equals, text = word.partition("=")
    if axis not in (*AXES, "seed") or not equals:
        raise ParameterError(f"ONLY: no axis in {word!r}; write axis=level with one of: {', '.join((*AXES, 'seed'))}")
    levels, choices = text.split(","), [str(level) for level in study.levels(axis)]
    if unknown := [level for level in levels if level not in choices]:
        raise ParameterError(f"ONLY: {study.name} has no {axis} {unknown[0]!r}; choose from: {', '.join(choices)}")
    return axis, levels


def _levels(cell: Cell) -> dict[str, str]:
    return {axis: str(getattr(cell, axis)) for axis in (*AXES, "seed") if axis != "arm"}
