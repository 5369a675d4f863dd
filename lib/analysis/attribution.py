"""The parts of the gap between the frameworks: one cause after another is aligned, and then made native again.

A gap is PyTorch minus Keras on one seed. Aligning a cause removes its part of the gap. Each part is measured twice: on
the way forth, with the causes before it aligned, and on the way back, with only those after it aligned. The mean over
an order and its reverse estimates the Shapley value (Mitchell et al. 2022, JMLR 23, "antithetic
sampling"), and the parts add up to the whole.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.analysis import contrasts
from lib.analysis.estimates import Estimate, mean_interval, paired
from lib.analysis.inference import ALPHA, deviation, residual_variance, rounded
from lib.study.conventions import SWITCHES
from lib.study.datasets import DATASETS
from lib.study.models import find
from lib.study.study import Study

GROUP = ["dataset", "model", "precision"]

NATIVE, ALIGNED = "native", "aligned"
"""The two rows that are not causes: the native gap, and the gap between twins."""

FLOOR = 0.15
"""A run is near chance below this share of the way from chance to 1.

A logistic curve from chance to 1 is half as steep there as in its middle, so that a part is half of what it would be.
"""


class Scale(NamedTuple):
    """A scale of gaps: a column of the results, and its values on the scale, given the accuracy of chance."""

    column: str
    convert: Callable[[pd.Series, pd.Series], pd.Series]


def logit(accuracy: pd.Series, chance: pd.Series) -> pd.Series:
    """Return the log odds of an accuracy above chance, `log((a - c) / (1 - a))`; NaN where it has none.

    Differences on this scale do not shrink near chance or near 1. It is the scale of the three-parameter logistic model
    with chance as its lower asymptote (Birnbaum 1968).
    """
    known = accuracy.where((accuracy > chance) & (accuracy < 1))
    return np.log((known - chance) / (1 - known))


SCALES = {
    "accuracy": Scale("test_accuracy", lambda values, _: values),
    "logit": Scale("test_accuracy", logit),
    "speed": Scale("images_per_sec_avg_late", lambda values, _: np.log(values)),
}
"""The scales on which a gap is taken apart; a difference of logarithms of speeds is the logarithm of a ratio."""

INTERVALS = ["apart", "apart_low", "apart_high", "effect", "low", "high"]
EFFECTS = (*GROUP, "cause", "n", "freedom", "forth", "back", *INTERVALS)


def gaps(study: Study, results: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Return the gap of every pair in a table of results that is finished in both frameworks, one row per arm and seed.

    Returns:
        Columns `GROUP`, `arm`, `level`, `seed`, `first` (Keras) and `second` (PyTorch) on the scale, their difference
        `gap`, and `lowest`: the pair's lower accuracy where it is near chance, else NaN. A speed is never near chance.
    """
    column, convert = SCALES[scale]
    found = contrasts.pairs(results, study.main, column).dropna().reset_index(drop=True)
    sides = found[["first", "second"]].astype(float)
    chance, least = (found["dataset"].map(bound).astype(float) for bound in (chance_of, floor_of))
    lowest = sides.min(axis=1)
    near = (column == "test_accuracy") & (lowest < least)
    first, second = convert(sides["first"], chance), convert(sides["second"], chance)
    return found.assign(first=first, second=second, gap=second - first, lowest=lowest.where(near))


def chance_of(dataset: str) -> float:
    """Return the accuracy of chance on a dataset's balanced classes, in [0, 1]."""
    return 1 / DATASETS[dataset].classes


def floor_of(dataset: str) -> float:
    """Return the accuracy below which a run is near chance, in [0, 1]."""
    return chance_of(dataset) + FLOOR * (1 - chance_of(dataset))


def near_chance(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the arms of `gaps` with a run near chance: `GROUP`, `arm` and the `lowest` accuracy."""
    return gaps.dropna(subset=["lowest"]).groupby([*GROUP, "arm"], sort=False, as_index=False)["lowest"].min()


def effects(study: Study, gaps: pd.DataFrame) -> pd.DataFrame:
    """Return each cause's part of a gap: one row per group and cause, with the native and the aligned gap.

    The first row of a group, `native`, is the native gap, and the last, `aligned`, the gap between twins. Between them
    are the causes that concern the model; their parts add up to the difference of the two. Only seeds that are finished
    in every arm count; a group without such a seed has no rows.

    The intervals of the m parts of the table are simultaneous: each is a t interval at the level 1 - 0.05 / m, so all
    contain their true parts with a probability of at least 0.95 (Bonferroni; Dunn 1961, JASA 56). The same holds for
    the m differences of the two ways. The variance of a run is pooled over all runs of the group, after the means of
    each run and of each seed in each framework are removed; it is taken to be the same in all. In a group with a run
    near chance the scatter of the runs is not alike: there each interval rests on its own cause's values alone. The
    native and the aligned gap have 95 % t intervals of their own.

    Returns:
        Columns `EFFECTS`: the `n` seeds; the degrees of `freedom` of the interval; the means `forth` and `back`;
        `apart`, forth minus back, with its interval, NaN if both ways compare the same runs, so that they are one
        number; and their mean, the part, with its interval.
    """
    complete = gaps[gaps.groupby([*GROUP, "seed"])["arm"].transform("size") == len(study.way)]
    groups = list(complete.groupby(GROUP, sort=False))
    parts = sum(concerns(study, cause, keys[1]) for keys, _ in groups for cause in study.causes)
    rows = [(*keys, *row) for keys, group in groups for row in _effects(study, keys[1], group, ALPHA / max(parts, 1))]
    return pd.DataFrame(rows, columns=list(EFFECTS))


def _effects(study: Study, model: str, group: pd.DataFrame, alpha: float) -> Iterator[tuple]:
    """Yield the rows of one group, with the intervals of its parts at the level 1 - `alpha`."""
    signs = _signs(study, model)
    wide = group.pivot(index="seed", columns="arm", values=["first", "second"])[signs.columns]
    runs, pooled = wide.to_numpy(), None
    if group["lowest"].isna().all() and np.isfinite(runs).all():
        pooled = residual_variance([wide[side].to_numpy() for side in ("first", "second")])
    causes, gap_of = list(study.causes), signs.T
    forth = [NATIVE, *(f"upto-{cause}" for cause in causes)]
    back = [forth[-1], *(f"beyond-{cause}" for cause in causes[:-1]), NATIVE]
    none = (np.nan,) * 5
    yield NATIVE, len(runs), len(runs) - 1, *none, *mean_interval(_sums(runs, gap_of[NATIVE].to_numpy()))
    for step, cause in enumerate(causes):
        if concerns(study, cause, model):
            taken = (gap_of[forth[step]] - gap_of[forth[step + 1]]).to_numpy()
            given = (gap_of[back[step + 1]] - gap_of[back[step]]).to_numpy()
            freedom, *part = _interval(runs, (taken + given) / 2, pooled, alpha)
            _, *apart = _interval(runs, taken - given, pooled, alpha) if (taken != given).any() else none[:4]
            both = (_sums(runs, way).mean() for way in (taken, given))
            yield cause, len(runs), freedom, *both, *apart, *part
    yield ALIGNED, len(runs), len(runs) - 1, *none, *mean_interval(_sums(runs, gap_of[forth[-1]].to_numpy()))


def _signs(study: Study, model: str) -> pd.DataFrame:
    """Return which runs make up the gap of each arm of a model: 1 and -1, or 0 for the others.

    A column is a run: its side in `gaps`, `first` or `second`, and the first of the arms that share it.
    """
    sides = {"keras": ("first", -1), "pytorch": ("second", 1)}
    found = {(one.arm, *sides[one.cell.framework], one.cell.arm) for one in study.entries if one.cell.model == model}
    table = pd.DataFrame(found, columns=["arm", "side", "sign", "run"])
    return table.pivot(index="arm", columns=["side", "run"], values="sign").fillna(0).reindex(list(study.way))


def _interval(
    runs: np.ndarray, weights: np.ndarray, pooled: tuple[float, int] | None, alpha: float
) -> tuple[float, float, float, float]:
    """Return the degrees of freedom and the mean of a weighted sum of runs `(seeds, runs)`, with its interval.

    `pooled` is the variance of a run and its degrees of freedom; without it the sums of the seeds have their own. The
    ends are NaN without a spread.
    """
    sums = _sums(runs, weights)
    sd, freedom = (np.sqrt(pooled[0] * (weights @ weights)), pooled[1]) if pooled else (deviation(sums), len(sums) - 1)
    se = paired(sums.mean(), sd, len(sums)).se
    return freedom, sums.mean(), *Estimate(sums.mean(), se, freedom).interval(alpha)


def _sums(runs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return a weighted sum of runs `(seeds, runs)` for each seed; NaN only where a run that counts has no value."""
    used = weights != 0
    return rounded(runs[:, used] @ weights[used])


def concerns(study: Study, cause: str, model: str) -> bool:
    """Return whether a cause changes anything in a model."""
    return bool(find(model).twin.differences & set(study.causes[cause]))


def ends(effects: pd.DataFrame, write: Callable[[float, float, float], str]) -> str:
    """Return the native and the aligned gap of each network in a phrase; `write` writes a gap with its interval."""
    return "; ".join(
        f"{when} " + ", ".join(f"{one.model} {write(one.effect, one.low, one.high)}" for one in rows.itertuples())
        for when, rows in (
            ("natively", effects[effects.cause == NATIVE]),
            ("with all causes aligned", effects[effects.cause == ALIGNED]),
        )
    )


def as_ratios(effects: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `effects` on the speed with factors instead of logarithms."""
    columns = ["forth", "back", *INTERVALS]
    return effects.assign(**np.exp(effects[columns].astype(float)))


def pairing(study: Study, gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the gain of pairing in test accuracy, native and aligned: `conventions`, then `contrasts.pairing`'s."""
    arms = {NATIVE: "native", ALIGNED: f"upto-{list(study.causes)[-1]}"}
    tables = {name: contrasts.pairing(gaps[gaps.arm == arm], GROUP) for name, arm in arms.items()}
    return pd.concat([table.assign(conventions=name) for name, table in tables.items()], ignore_index=True)


def causes(study: Study) -> pd.DataFrame:
    """Return the study's causes with their switches, and the models that each concerns: one row per cause."""
    rows = []
    for cause, switches in study.causes.items():
        concerned = [model for model in study.models if concerns(study, cause, model)]
        rows.append((cause, ", ".join(switches), ", ".join(concerned) or "none"))
    left = [switch for switch in SWITCHES if switch not in {one for group in study.causes.values() for one in group}]
    known = [switch for switch in left if any(switch in find(model).twin.differences for model in study.models)]
    rows += [("not attributed", ", ".join(known), "")] if known else []
    return pd.DataFrame(rows, columns=["cause", "switches", "models"])
