"""Many arms against one: their effects with simultaneous intervals, grouped by the study's questions."""

import pandas as pd

from lib.analysis.estimates import Estimate
from lib.analysis.inference import ALPHA
from lib.study.study import Matrix

ASKED_NOTHING, NO_QUESTIONS = "without a question", "arms"
"""The heading of arms that the study puts under none of its questions, and of all arms where it states no question."""


def simultaneous(table: pd.DataFrame) -> pd.DataFrame:
    """Add simultaneous 95 % intervals of `delta` to rows of `contrasts.compare`, those of one metric and one group.

    The metric is one whose margin is on the difference.

    They are Bonferroni's t intervals over the m rows with an interval (Dunn 1961, JASA 56), each at the level
    1 - 0.05 / m: all of them contain their true differences with a probability of at least 0.95. This holds for rows
    that share one side, too.

    Returns:
        The table with `simultaneous_low` and `simultaneous_high`; NaN where a row has no interval of its own.
    """
    estimate = Estimate(*table[["delta", "se", "freedom"]].to_numpy(dtype=float).T)
    low, high = estimate.interval(ALPHA / max(table["se"].notna().sum(), 1))
    return table.assign(simultaneous_low=low, simultaneous_high=high)


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
