"""A study's comparisons, judged as its settings and records say."""

from collections.abc import Sequence

import pandas as pd

from lib.analysis import contrasts, timing
from lib.analysis.contrasts import COMPARED, METRICS
from lib.runs import records
from lib.study.margins import margins
from lib.study.study import Comparison, Study

UNITS = {
    "accuracy": "points of accuracy",
    "speed": "% of the slower speed",
    "dead_units": "points of the share of dead units",
}
"""What a margin of each kind is in."""


def compared(study: Study) -> dict[str, Comparison]:
    """Return the study's comparisons by the end of their tables' names, which is empty for the first."""
    return {f"_{one.axis}_{one.against}" if place else "": one for place, one in enumerate(study.comparisons)}


def judged(
    study: Study, results: pd.DataFrame, comparison: Comparison, metrics: Sequence[str] = COMPARED
) -> pd.DataFrame:
    """Return the table of `contrasts.compare` for a comparison of the study, whose table of results is `results`.

    Every verdict of a chapter on a comparison is made here, so that one rule holds for all.
    """
    timed = any(METRICS[metric].on_ratio for metric in metrics)
    doubts = timing.unreliable(study, results, comparison) if timed else {}
    return contrasts.compare(results, comparison, metrics, native(study, comparison), doubts)


def native(study: Study, comparison: Comparison) -> set[tuple[str, ...]]:
    """Return the groups of a comparison whose pairs share only their settings and the number of their seed.

    These are groups of two frameworks without a shared pairing. In one framework the seed fixes the order, crops and
    flips, so that two arms, models or precisions of a seed see the same images in the same order: they are pairs. The
    correlation that was observed decides nothing: five pairs do not show it, and a test that the data choose errs more
    often than it says.
    """
    if comparison.axis != "framework":
        return set()
    rows = [study.row(entry) for entry in study.entries if not entry.cell.settings.pairing.shared]
    return {tuple(row[key] for key in comparison.group) for row in rows}


def when_fixed(study: Study, kinds: Sequence[str] = ("accuracy", "speed")) -> str:
    """Return sentences on some margins: their sizes, when and why they were fixed, and when the first run began."""
    fixed = margins()
    sizes = [f"{size:g} {UNITS[kind]}{where}" for kind in kinds for size, where in _sizes(study, kind).items()]
    began = min((record.started for _, record in records.finished(study)), default="")
    first = f"The first of these runs began on {began[:10]}. " if began else ""
    return (
        f"Equivalent is what differs by less than {', '.join(sizes)}. These margins stand in `params/margins.yaml`, "
        f"fixed on {fixed.fixed}. {first}The reason given: {fixed.reason}"
    )


def _sizes(study: Study, kind: str) -> dict[float, str]:
    """Return a kind's margins in percent and points, each with its datasets if the study's datasets have several."""
    sizes = pd.Series({dataset: 100 * margins().of(kind, dataset) for dataset in study.datasets})
    several = sizes.nunique() > 1
    return {size: f" on {', '.join(of.index)}" if several else "" for size, of in sizes.groupby(sizes, sort=False)}
