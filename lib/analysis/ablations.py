"""Many arms against one: their effects with simultaneous intervals, grouped by the study's questions."""

import pandas as pd
from scipy import stats

from lib.analysis.inference import ALPHA
from lib.study.study import Matrix

ASKED_NOTHING, NO_QUESTIONS = "without a question", "arms"
"""The heading of arms that the study puts under none of its questions, and of all arms where it states no question."""


def simultaneous(table: pd.DataFrame) -> pd.DataFrame:
    """Add simultaneous 95 % intervals of `delta` to rows of `contrasts.compare`, those of one metric and one group.

    They are Bonferroni's t intervals over the m rows with an interval (Dunn 1961, JASA 56), each at the level
    1 - 0.05 / m: all of them contain their true differences with a probability of at least 0.95. This holds for rows
    that share one side, too.

    Returns:
        The table with `simultaneous_low` and `simultaneous_high`; NaN where a row has no interval of its own.
    """
    freedom = table["n"] - 1
    rows = max(table["ci_low"].notna().sum(), 1)
    wider = stats.t.isf(ALPHA / (2 * rows), freedom) / stats.t.isf(ALPHA / 2, freedom)
    reach = wider * (table["ci_high"] - table["ci_low"]) / 2
    return table.assign(simultaneous_low=table["delta"] - reach, simultaneous_high=table["delta"] + reach)


def by_question(table: pd.DataFrame, study: Matrix) -> pd.DataFrame:
    """Return rows of `contrasts.compare` for arms with their `question`, in the order of the study's `questions`.

    Arms without a question come last, under a heading of their own.
    """
    asked = {arm: question for question, arms in study.questions.items() for arm in arms}
    places = {arm: place for place, arm in enumerate(dict.fromkeys([*asked, *study.arms]))}
    ordered = table.sort_values("level", key=lambda arms: arms.map(places), kind="stable")
    none = ASKED_NOTHING if asked else NO_QUESTIONS
    return ordered.assign(question=ordered["level"].map(lambda arm: asked.get(arm, none))).reset_index(drop=True)


def structural(study: Matrix) -> list[str]:
    """Return the arms that take shortcuts or batch normalisation out of a network, or put them in."""
    return [
        arm for arm, changes in study.departures.items() if {"skip", "batch_norm"} & set(changes.get("network", {}))
    ]
