"""The order in which a study's runs are made."""

from collections.abc import Collection

from lib.study.cells import Cell
from lib.study.study import Study


def in_turn(study: Study, cells: Collection[Cell]) -> list[Cell]:
    """Return cells of a study in the order in which a sweep starts them.

    Runs of one seed that differ only in the axis of the study's main comparison follow each other. Each seed begins
    with the next level, so that no level gains from a drift of the machine: with the first seed Keras and then PyTorch,
    with the second PyTorch and then Keras.
    """
    ordered = {}
    for levels in study.matched(study.main.axis):
        names = [cell.name for cell in levels.values()]
        first = study.seeds.index(next(iter(levels.values())).seed) % len(names)
        ordered |= dict.fromkeys(names[first:] + names[:first])  # arms may share a run, whose first turn counts
    wanted = {cell.name: cell for cell in cells}
    return [wanted[name] for name in ordered if name in wanted]
