"""The headline of an experiment: what its groups say together about one contrast and one metric.

Each method answers a question of its own; `answers` names them. Differences are on the scale on which the rows are
judged: shares, or the log of a ratio.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from lib.analysis import contrasts, estimates
from lib.analysis.contrasts import METRICS, UNRELIABLE
from lib.analysis.estimates import Estimate
from lib.analysis.inference import ALPHA, exchanges, permutation_p, rounded, smallest_wilcoxon_p
from lib.study.study import Comparison

LEAST = 3
"""Groups from which a study has a headline of its own; with fewer, the rows are the headline."""


@dataclass(frozen=True)
class Headline:
    """What `groups` say together; `left_out` further ones have no spread or no reliable times, and no part in it.

    `mean` is the mean over the groups, `random` the one over all groups like these. The p values are those of
    `answers`. `margin` holds the narrowest of the groups' margins. On the scale of the rows.
    """

    groups: int
    left_out: int
    mean: Estimate
    margin: tuple[float, float]
    random: Estimate
    any_p: float
    clusters: int
    clusters_p: float
    unlike_p: float
    every_p: float

    @property
    def tost_p(self) -> float:
        """The p of two one-sided tests of the mean against the margin."""
        return float(self.mean.equivalence_p(*self.margin))

    @property
    def judgement(self) -> str:
        """Equivalent, different or undecided: the verdict on the mean."""
        if self.tost_p < ALPHA:
            return "equivalent"
        return "different" if self.mean.difference_p() < ALPHA else "undecided"


def scaled(rows: pd.DataFrame) -> Estimate:
    """Return the estimates of rows of `contrasts.compare` on the scale of their `se`."""
    on_ratio = rows["ratio"].notna()
    value = np.where(on_ratio, np.log(rows["ratio"]), rows["delta"])
    return Estimate(value, *rows[["se", "freedom"]].to_numpy(dtype=float).T)


def chosen(table: pd.DataFrame, level: str, metric: str) -> pd.DataFrame:
    """Return the rows of `contrasts.compare` of one level and metric."""
    return table[(table["level"] == level) & (table["metric"] == metric)].reset_index(drop=True)


def headline(
    table: pd.DataFrame, results: pd.DataFrame, comparison: Comparison, level: str, metric: str = "test_accuracy"
) -> Headline | None:
    """Return the headline of a level and a metric, or None with fewer than three groups that have a spread.

    `table` is that of `contrasts.compare`, `results` the one that it compares.
    """
    every = chosen(table, level, metric)
    rows = every[every["se"].notna() & (every["judgement"] != UNRELIABLE)].reset_index(drop=True)
    if len(rows) < LEAST:
        return None
    found, variance = scaled(rows), pooled_variances(rows) / rows["n"].to_numpy()
    by_cluster = pd.Series(found.value).groupby(_clusters(rows, comparison)).sum().to_numpy() / len(rows)
    ends = rows[["margin_low", "margin_high"]]
    ends = np.log(ends) if METRICS[metric].on_ratio else ends
    return Headline(
        groups=len(rows),
        left_out=len(every) - len(rows),
        mean=estimates.mean(found),
        margin=(ends["margin_low"].max(), ends["margin_high"].min()),
        random=_random_effects(found.value, variance),
        any_p=flip_p(_parts(rows, results, comparison, level, metric)),
        clusters=len(by_cluster),
        clusters_p=flip_p(by_cluster),
        unlike_p=_heterogeneity_p(rows, found.value, variance),
        every_p=_every_p(every),
    )


def pooled_variances(rows: pd.DataFrame) -> np.ndarray:
    """Return the variance of one pair for each row, (rows,), pooled over the rows of its dataset.

    The few runs of a row give a poor variance. Those of a dataset are alike, unlike those of different datasets.
    """
    weighted = rows["se"] ** 2 * rows["n"] * rows["freedom"]
    by_dataset = pd.DataFrame({"weighted": weighted, "freedom": rows["freedom"]}).groupby(rows["dataset"])
    sums = by_dataset.transform("sum")
    return (sums["weighted"] / sums["freedom"]).to_numpy()


def flip_p(parts: np.ndarray) -> float:
    """Return the two-sided p of the sum of `parts` (m,) if each could as well have the other sign: exact up to 13."""
    return permutation_p(np.abs((1 - 2.0 * exchanges(len(parts))) @ parts))


def shrunken(rows: pd.DataFrame) -> pd.DataFrame:
    """Add `shrunken`, `shrunken_low` and `shrunken_high` to rows of one level and metric: to show, not to judge by.

    They are the empirical-Bayes estimates of Morris (1983, JASA 78, 47-55) with their 95 % intervals, from variances
    pooled by dataset: each row is drawn to the mean, the more so the less the rows differ beyond their errors. NaN with
    fewer than four rows that have a spread, and for a row without one.
    """
    columns = ["shrunken", "shrunken_low", "shrunken_high"]
    has = rows["se"].notna().to_numpy()
    rows = rows.assign(**dict.fromkeys(columns, np.nan))
    k = has.sum()
    if k <= LEAST:
        return rows
    value = scaled(rows[has]).value
    variance = pooled_variances(rows[has]) / rows["n"].to_numpy()[has]
    between = _between(value, variance)
    weights = 1 / (variance + between)
    centre = np.average(value, weights=weights)
    shrink = (k - 3) / (k - 1) * variance * weights
    ratio = (np.average(variance, weights=weights) + between) * weights
    spread = variance * (1 - (k - 1) / k * shrink) + 2 / (k - 3) * shrink**2 * ratio * (value - centre) ** 2
    middle = centre + (1 - shrink) * (value - centre)
    reach = stats.norm.isf(ALPHA / 2) * np.sqrt(spread)
    rows.loc[has, columns] = np.column_stack([middle, middle - reach, middle + reach])
    return rows


def _between(value: np.ndarray, variance: np.ndarray) -> float:
    """Return Morris' variance of the true effects between the rows, by iteration from the mean variance; 0 or more."""
    k, between = len(value), float(variance.mean())
    for _ in range(100):
        weights = 1 / (variance + between)
        squares = (value - np.average(value, weights=weights)) ** 2
        between = max(0.0, float(np.average(k / (k - 1) * squares - variance, weights=weights)))
    return between


def _parts(rows: pd.DataFrame, results: pd.DataFrame, comparison: Comparison, level: str, metric: str) -> np.ndarray:
    """Return the part of each pair in the mean over the groups of `rows`."""
    found = contrasts.pairs(results, comparison, metric).dropna()
    found = found[found["level"] == level].merge(rows[[*comparison.group, "n"]], on=comparison.group)
    first, second = found["first"].to_numpy(), found["second"].to_numpy()
    differences = np.log(second / first) if METRICS[metric].on_ratio else second - first
    return rounded(differences) / (found["n"].to_numpy() * len(rows))


def _clusters(rows: pd.DataFrame, comparison: Comparison) -> np.ndarray:
    """Return the number of each row's cluster: its dataset and model, whatever its precision or arm."""
    by = [key for key in comparison.group if key in ("dataset", "model")]
    return rows.groupby(by, sort=False).ngroup().to_numpy()


def _random_effects(value: np.ndarray, variance: np.ndarray) -> Estimate:
    """Return the mean of DerSimonian and Laird (1986) with the standard error of Hartung and Knapp (2001).

    statsmodels' `combine_effects` lets the variance between the groups fall below 0, and then fails in places.
    """
    weights = 1 / variance
    squares = weights * (value - np.average(value, weights=weights)) ** 2
    beyond = squares.sum() - (len(value) - 1)
    between = max(0.0, beyond / (weights.sum() - (weights**2).sum() / weights.sum()))
    weights = 1 / (variance + between)
    mean = np.average(value, weights=weights)
    error = (weights * (value - mean) ** 2).sum() / (len(value) - 1) / weights.sum()
    return Estimate(mean, np.sqrt(error), len(value) - 1)


def _heterogeneity_p(rows: pd.DataFrame, value: np.ndarray, variance: np.ndarray) -> float:
    """Return the p of Cochran's Q over k - 1, as an F because the variances are estimates.

    An inverse estimated variance is too large by f / (f - 2) on average, with the f degrees of freedom of its dataset.
    """
    freedom = rows.groupby("dataset")["freedom"].transform("sum").to_numpy()
    if (freedom <= 2).any():
        return np.nan
    squares = (value - np.average(value, weights=1 / variance)) ** 2 / variance * (freedom - 2) / freedom
    return float(stats.f.sf(squares.sum() / (len(rows) - 1), len(rows) - 1, rows["freedom"].sum()))


def _every_p(rows: pd.DataFrame) -> float:
    """Return the p of "every row is within the margin": the largest p, uncorrected (intersection-union, Berger 1982).

    A row that is equivalent by inspection is within it; NaN if another row has no p.
    """
    left = rows[rows["tost_p"].notna() | (rows["judgement"] != "equivalent")]
    return float(left["tost_p"].max(skipna=False))


def answers(found: Headline) -> pd.DataFrame:
    """Return the questions that a headline answers, one per row: `question`, `method`, `estimate`, `low`, `high`, `p`.

    The estimates are on the scale of the rows.
    """
    cluster_floor = smallest_wilcoxon_p(found.clusters)
    flips = f"signs of {found.clusters} clusters of dataset and model, smallest p {cluster_floor:.2g}"
    rows = [
        ("How large is the mean over these groups?", "mean, Satterthwaite t", found.mean, found.mean.difference_p()),
        ("Is this mean within the margin?", "two one-sided t tests", None, found.tost_p),
        ("Is there a difference in any group?", "signs of all pairs, by group", None, found.any_p),
        ("Do the groups differ among themselves?", "Cochran's Q against F", None, found.unlike_p),
        ("How large is the mean over groups like these?", "random effects", found.random, found.random.difference_p()),
        ("Is there a mean difference beyond these networks?", flips, None, found.clusters_p),
        ("Is every group within the margin?", "largest p of its tests", None, found.every_p),
    ]
    nothing = (np.nan,) * 3
    table = [
        (question, method, *((one.value, *one.interval()) if one else nothing), float(p))
        for question, method, one, p in rows
    ]
    return pd.DataFrame(table, columns=["question", "method", "estimate", "low", "high", "p"])


def sentence(found: Headline, comparison: Comparison, level: str, metric: str = "test_accuracy") -> str:
    """Return the headline as one sentence, in points or as a ratio."""
    what, against, other = METRICS[metric], contrasts.title(comparison.against), contrasts.title(level)
    mean, low, high = (written(value, metric) for value in (found.mean.value, *found.mean.interval()))
    unit = "" if what.on_ratio else " points"
    verdicts = {"equivalent": "the mean is within the margin", "different": "the mean is other than zero"}
    verdict = verdicts.get(found.judgement, "whether the mean is within the margin is undecided")
    p = float(found.mean.difference_p()) if found.judgement == "different" else found.tost_p
    beyond = f"{_p(found.clusters_p)} ({found.clusters} clusters of dataset and model)"
    if smallest_wilcoxon_p(found.clusters) >= ALPHA:
        beyond = f"no test with {found.clusters} clusters of dataset and model"
    return (
        f"Over these {found.groups} groups {other} {'/' if what.on_ratio else 'minus'} {against} in {what.title} "
        f"averages {mean}{unit} (95 % interval {low} to {high}); {verdict} ({_p(p)}); "
        f"no difference in any group: {_p(found.any_p)}; all groups alike: {_p(found.unlike_p)}; "
        f"beyond these networks: {beyond}."
    )


def rows_as_headline(rows: pd.DataFrame, comparison: Comparison) -> str:
    """Return a line for each row of test accuracy of a study with too few groups for a headline of its own."""
    lines = []
    for row in rows.itertuples():
        names = ", ".join(getattr(row, key) for key in comparison.group)
        sides = f"{contrasts.title(row.level)} minus {contrasts.title(row.against)}"
        delta, low, high = (written(value, row.metric) for value in (row.delta, row.ci_low, row.ci_high))
        interval = "no interval" if np.isnan(row.ci_low) else f"95 % interval {low} to {high}"
        lines.append(f"- {names}: {sides} {delta} points ({interval}, n = {row.n}): {row.judgement}.")
    return "\n".join(lines)


def written(value: float, metric: str) -> str:
    """Write a difference on the scale of the rows, in points or as a ratio, without its unit."""
    return f"{np.exp(value):.3f}" if METRICS[metric].on_ratio else f"{100 * value:+.2f}"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"
