"""How long runs took, and which speeds can be compared: those of runs that had one machine to themselves."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from lib.analysis import machines
from lib.runs import records
from lib.runs.records import Record
from lib.study.study import Comparison, Study

SCATTER = 0.05
"""The largest standard deviation of log speed between the seeds of a level: as much as the margin of a speed.

Speeds of one setting on an idle machine differ far less. Where they scatter more, something else took time.
"""

TAKEN = 0.05
"""The largest share of its cores' time that a run may lose to other processes or to the host of a virtual machine.

It is the margin of a speed, too: where a training uses its cores whole, the share that it loses is the speed that it
loses, and a loss of this size alone would be a difference that matters. A sweep's own processes took 0.2 % of two
cores.
"""

_MACHINE = ("system", "cpu", "gpu", "driver")


def unreliable(study: Study, results: pd.DataFrame, comparison: Comparison) -> dict[tuple[str, ...], str]:
    """Return why the speeds of a comparison's group and level cannot be judged, for those that cannot.

    `results` is the table of `analysis.results` of the same study. A machine is known by its description in the record.
    Runs of other studies are seen where they were recorded.
    """
    runs, (axis, against, others, group) = _runs(study, results), comparison
    reasons = {}
    for keys, of_group in runs.groupby(group, sort=False):
        for level in others:
            if reason := _reason(of_group[of_group[axis].isin([against, level])], _levels(study)):
                reasons[*keys, level] = reason
    return reasons


def marked(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `analysis.results` with `timing`: why a speed is not to be relied on, empty where it is.

    A reason holds for all runs that differ in the seed alone.
    """
    groups = _runs(study, results).groupby(_levels(study), sort=False)
    reasons = {keys: _reason(runs, _levels(study)) for keys, runs in groups}
    rows = results[_levels(study)].itertuples(index=False, name=None)
    return results.assign(timing=[reasons.get(keys, "") for keys in rows])


def _levels(study: Study) -> list[str]:
    return [key for key in study.keys if key != "seed"]


def _runs(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return the results with what their records say about their times."""
    found = list(records.finished(study))
    crowded = _crowded({record.run: record for _, record in found}.values())
    rows = [
        study.row(entry) | machines.recorded(one) | {"machine": _machine(one), "crowded": one.run in crowded}
        for entry, one in found
    ]
    columns = [*study.keys, *machines.COLUMNS, "machine", "crowded"]
    return results.merge(pd.DataFrame(rows, columns=columns), on=study.keys)


def pair_hours(study: Study, comparison: Comparison) -> dict[tuple[str, ...], float]:
    """Return the hours of one pair, both runs, by group and level: the means of the finished runs, without pauses."""
    rows = [study.row(entry) | {"hours": one.seconds / 3600} for entry, one in records.finished(study)]
    table = pd.DataFrame(rows, columns=[*study.keys, "hours"])
    axis, against, others, group = comparison
    mean = table.groupby([*group, axis], sort=False)["hours"].mean().unstack(axis)
    sums = {level: mean[against] + mean[level] for level in others if {against, level} <= set(mean)}
    return {(*_tuple(keys), level): hours for level, both in sums.items() for keys, hours in both.dropna().items()}


def _tuple(keys: tuple[str, ...] | str) -> tuple[str, ...]:
    return keys if isinstance(keys, tuple) else (keys,)


def _reason(runs: pd.DataFrame, levels: Sequence[str]) -> str:
    """Return why the speeds of runs, of one or more `levels`, are not to be relied on, or an empty text."""
    if runs["machine"].nunique() > 1:
        return "the runs were made on different machines"
    if runs["crowded"].any():
        return "runs were made at the same time on one machine"
    if reason := disturbance(runs):
        return reason
    scatter = np.log(runs["images_per_sec_avg"]).groupby([runs[level] for level in levels]).std().max()
    return f"the seeds' speeds scatter by {scatter:.1%}, above {SCATTER:.0%}" if scatter > SCATTER else ""


def disturbance(states: pd.DataFrame) -> str:
    """Return what disturbed times on a machine with these states, rows of `machines.COLUMNS`, or an empty text."""
    if states["other_runs"].max() > 0:
        return "other runs trained on the machine"
    if states["gpu_slowed"].max() > 0:
        return "a GPU lowered its clock to protect itself"
    taken = (states["others"] + states["steal"]).max()
    return f"other work took {taken:.1%} of the cores' time, above {TAKEN:.0%}" if taken > TAKEN else ""


def _machine(record: Record) -> str:
    return ", ".join(record.environment.get(part, "not recorded") for part in _MACHINE)


def _crowded(found: Iterable[Record]) -> set[str]:
    """Return the runs that worked at the same time as another one on a machine of the same description.

    Two runs that overlap for longer than both paused must have worked side by side at some time.
    """
    found = list(found)
    start, end = (np.array([_seconds(getattr(one, name)) for one in found]) for name in ("started", "finished"))
    pause = end - start - np.array([one.seconds for one in found])
    machine = np.array([_machine(one) for one in found])
    overlap = np.minimum(end, end[:, None]) - np.maximum(start, start[:, None])
    beside = (overlap > np.maximum(pause + pause[:, None], 0)) & (machine == machine[:, None])
    np.fill_diagonal(beside, val=False)
    return {one.run for one, company in zip(found, beside.any(axis=1), strict=True) if company}


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
