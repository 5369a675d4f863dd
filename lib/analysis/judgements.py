"""A study's comparisons, judged as its settings and records say."""

import pandas as pd

from lib.analysis import contrasts, timing
from lib.runs import records
from lib.study.margins import margins
from lib.study.study import Comparison, Study


def compared(study: Study) -> dict[str, Comparison]:
    """Return the study's comparisons by the end of their tables' names, which is empty for the first."""
    return {f"_{one.axis}_{one.against}" if place else "": one for place, one in enumerate(study.comparisons)}


def judged(study: Study, results: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return the table of `contrasts.compare` for a comparison of the study, whose table of results is `results`."""
    doubts = timing.unreliable(study, results, comparison)
    return contrasts.compare(results, comparison, native=native(study, comparison), unreliable=doubts)


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


def when_fixed(study: Study) -> str:
    """Return sentences on when and why the margins were fixed, and on when the study's first run began."""
    fixed = margins()
    began = min((record.started for _, record in records.finished(study)), default="")
    first = f"The first of these runs began on {began[:10]}. " if began else ""
    return (
        f"The margins stand in `params/margins.yaml`, fixed on {fixed.fixed}. {first}The reason given: {fixed.reason}"
    )
