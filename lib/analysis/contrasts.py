"""Comparisons of two levels of an axis, paired by seed, all else equal.

A framework, an arm, a model or a precision is a level. Every difference is the level minus the one it is compared
`against`. The tests are those of SciPy and statsmodels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from lib.analysis.inference import (
    ALPHA,
    CLIFF,
    COHEN,
    correlation,
    detectable_effect,
    holm,
    mean_interval,
    rounded,
    size,
    smallest_wilcoxon_p,
    varies,
)
from lib.study.study import Comparison

TITLES = {"keras": "Keras", "pytorch": "PyTorch"}
"""The titles of levels; any other level is its own title."""

COLUMNS = {
    "against": "the level that the other one is compared with",
    "level": "the other level",
    "metric": "what is compared: a key of `METRICS`",
    "n": "pairs: seeds finished in both",
    "mean_against": "mean over the pairs",
    "mean_level": "mean over the pairs",
    "delta": "mean_level - mean_against",
    "ci_low": "95 % t interval of the paired difference, lower end",
    "ci_high": "upper end",
    "sd_difference": "standard deviation of the paired differences (n - 1)",
    "t_p": "paired t test, two-sided p; NaN without a spread of the differences",
    "holm_p": "t_p after Holm's correction over all rows that have one",
    "wilcoxon_p": "Wilcoxon signed-rank test, two-sided exact p",
    "wilcoxon_p_min": "the smallest p that this test can give with n pairs",
    "cohens_d_z": "delta / sd_difference (Cohen 1988; Lakens 2013, eq. 6)",
    "cohens_d_av": "delta / mean of the two levels' standard deviations (Lakens 2013, eq. 10)",
    "cliffs_delta": "P(level > against) - P(level < against) over all n x n combinations (Cliff 1993)",
    "ratio": "geometric mean of level / against, where the margin is on the ratio",
    "ratio_low": "its 95 % t interval on the log scale, lower end",
    "ratio_high": "upper end",
    "margin_low": "equivalence margin of the difference, or of the ratio where there is one",
    "margin_high": "upper end",
    "tost_p": "two one-sided paired t tests against the margin, p; NaN without a spread, as in a row by inspection",
    "tost_holm_p": "tost_p after Holm's correction over all rows that have one",
    "detectable": "smallest difference a paired t test detects with power 0.8 at alpha 0.05, given sd_difference",
    "judgement": "equivalent, different or undecided, by corrected tests; by inspection if all differences are zero",
    "reason": "why a value is missing, whether the row is judged by inspection, or which seeds are left out",
}
"""The columns of `compare` after those of the group, each with its meaning."""


@dataclass(frozen=True)
class Metric:
    """A compared quantity with its equivalence margin, fixed in advance, on the difference or on the ratio."""

    title: str
    margin: float
    on_ratio: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The two ends of the margin; those of a ratio are reciprocal, so neither level is favoured."""
        return (1 / (1 + self.margin), 1 + self.margin) if self.on_ratio else (-self.margin, self.margin)


METRICS = {
    "test_accuracy": Metric("test accuracy", 0.005),
    "test_macro_f1": Metric("test macro-F1", 0.005),
    "images_per_sec_avg": Metric("images per second", 0.05, on_ratio=True),
    "train_accuracy_last": Metric("train accuracy of the last epoch", 0.005),
    "dead_share": Metric("share of dead units", 0.01),
}
"""What can be compared: columns of `results`, of `results.with_train_accuracy`, and of `neurons.shares`."""

COMPARED = ("test_accuracy", "test_macro_f1", "images_per_sec_avg")
"""What is compared in every study."""


def title(level: str) -> str:
    """Return the title of a level."""
    return TITLES.get(level, level)


def sides(comparison: Comparison) -> tuple[str, str]:
    """Return the titles of a comparison's two sides: the level compared against, and the other or any of them."""
    one = len(comparison.others) == 1
    return title(comparison.against), title(comparison.others[0]) if one else f"another {comparison.axis}"


def pairs(table: pd.DataFrame, comparison: Comparison, metric: str) -> pd.DataFrame:
    """Return one row per pair: another level's run and the run of `against`, all else equal.

    Returns:
        Columns `group`, `level`, `seed`, `first` (against's value) and `second` (the level's); NaN where a run is
        missing.
    """
    axis, against, others, group = comparison
    wide = table.pivot(index=[*group, "seed"], columns=axis, values=metric).reindex(columns=[against, *others])
    paired = [wide[[against, level]].set_axis(["first", "second"], axis=1).assign(level=level) for level in others]
    found = pd.concat([wide[[]].assign(level="", first=np.nan, second=np.nan)[:0], *paired]).reset_index()
    return found.dropna(how="all", subset=["first", "second"])[[*group, "level", "seed", "first", "second"]]


def compare(results: pd.DataFrame, comparison: Comparison, metrics: Sequence[str] = COMPARED) -> pd.DataFrame:
    """Compare the levels of an axis in each group and each metric: one row per comparison.

    `results` is the table of `analysis.results`, and `metrics` are keys of `METRICS` among its columns. A statistic
    that the data do not allow is NaN, and `reason` says why. A row is *equivalent* if its difference lies within the
    margin (`tost_holm_p` below 0.05), else *different* if it is not zero (`holm_p` below 0.05), else *undecided*. A
    significant difference within the margin is therefore judged equivalent: the margin defines what matters.

    At least two pairs whose differences are all zero, such as those of an arm that changes nothing, have no spread to
    test against. Such a row is equivalent by inspection. It has no p and does not count in Holm's correction. Any other
    row without a spread is undecided.

    Returns:
        The columns of the comparison's group, then `COLUMNS`.
    """
    by = [*comparison.group, "level"]
    found = {metric: pairs(results, comparison, metric).groupby(by, sort=False) for metric in metrics}
    rows = [
        dict(zip(by, keys, strict=True))
        | {"against": comparison.against, "metric": metric}
        | _compare(of_metric.get_group(keys), METRICS[metric])
        for keys, _ in found[metrics[0]]
        for metric, of_metric in found.items()
    ]
    table = pd.DataFrame(rows, columns=[*comparison.group, *COLUMNS])
    table["holm_p"] = holm(table["t_p"])
    table["tost_holm_p"] = holm(table["tost_p"])
    tested = np.select(
        [table["tost_holm_p"] < ALPHA, table["holm_p"] < ALPHA], ["equivalent", "different"], "undecided"
    )
    table["judgement"] = table["judgement"].mask(table["judgement"] == "", tested)
    return table


def published(table: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return a table for publication: a comparison of the frameworks has their names in its columns."""
    if comparison.axis != "framework":
        return table
    other = "pytorch" if comparison.against == "keras" else "keras"
    named = {"mean_against": f"mean_{comparison.against}", "mean_level": f"mean_{other}"}
    return table.rename(columns=named).drop(columns=["against", "level"])


def significance_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Reduce the table of `compare` to significance at alpha 0.05, effect sizes and verdict."""
    summary = table[[*table.columns[: table.columns.get_loc("n")], "n", "delta", "holm_p"]].copy()
    summary["significant"] = np.select([table["holm_p"] < ALPHA, table["holm_p"].notna()], ["yes", "no"], "")
    summary["cohens_d_av"] = table["cohens_d_av"]
    summary["effect_size"] = [size(d, COHEN) for d in table["cohens_d_av"]]
    summary["cliffs_delta"] = table["cliffs_delta"]
    summary["cliffs_size"] = [size(delta, CLIFF) for delta in table["cliffs_delta"]]
    higher = table["level"].where(table["delta"] > 0, table["against"]).map(title) + " higher"
    summary["verdict"] = table["judgement"].mask(table["judgement"] == "different", higher)
    return summary


def summary_markdown(summary: pd.DataFrame, comparison: Comparison) -> str:
    """Write the published table of `significance_summary` as a Markdown page."""
    against, level = sides(comparison)
    head = f"{level} minus {against}, paired by seed; alpha {ALPHA}, p after Holm's correction."
    table = summary.astype(object).where(summary.notna(), None).to_markdown(index=False, floatfmt=".4g")
    return f"# Significance summary\n\n{head}\n\n{table}\n"


ALIKE = ("n", "correlation", "r_low", "r_high", "worth")
"""The columns of `pairing` for a group."""


def pairing(found: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the gain of pairing: the correlation of the two runs of a pair, and the seeds that it saves.

    `found` is a table of `pairs`. Each group of the columns `by` has a row. With several groups, the last row pools
    them around their own means; a group with more scatter has more weight.

    Returns:
        Columns `by` and `ALIKE`: pairs, then the values of `inference.correlation`; `worth` is the number of unpaired
        seeds that one paired seed is worth.
    """
    whole = found.dropna()
    values = ["first", "second"]
    centred = rounded(whole[values] - whole.groupby(list(by))[values].transform("mean"))
    rows = [
        (*keys, len(rows), *correlation(*centred.loc[rows.index].to_numpy().T, len(rows) - 1))
        for keys, rows in whole.groupby(list(by), sort=False)
    ]
    if len(rows) > 1:
        pooled = correlation(*centred.to_numpy().T, len(whole) - len(rows))
        rows.append((*["all"] * len(by), len(whole), *pooled))
    return pd.DataFrame(rows, columns=[*by, *ALIKE])


def _compare(found: pd.DataFrame, metric: Metric) -> dict[str, object]:
    whole = found.dropna()
    first, second = (whole[side].to_numpy(dtype=float) for side in ("first", "second"))
    differences = rounded(second - first)
    judged = rounded(np.log(second / first)) if metric.on_ratio else differences
    n, lost = len(whole), len(found) - len(whole)
    low, high = metric.bounds
    reason = _reason(differences, lost)
    row = {"n": n, "margin_low": low, "margin_high": high, "judgement": "", "reason": reason}
    if n:
        row |= {"mean_against": first.mean(), "mean_level": second.mean(), "delta": differences.mean()}
        row |= {"ratio": np.exp(judged.mean())} if metric.on_ratio else {}
    if n > 1:
        row |= _nonparametric(first, second, differences) | _spread(first, second, differences)
    if varies(differences):
        row |= _difference_test(differences)
    if varies(judged):
        row |= _equivalence_test(judged, metric)
    elif n > 1 and not judged.any():
        row |= {"judgement": "equivalent"}
    return row


def _reason(differences: np.ndarray, lost: int) -> str:
    reasons = []
    if len(differences) == 0:
        reasons.append("no seed is finished in both")
    elif len(differences) == 1:
        reasons.append("one pair has no spread to test against")
    elif not differences.any():
        reasons.append("all differences are zero: judged by inspection, not by a test")
    elif not varies(differences):
        reasons.append("all differences are equal: no spread to test against")
    if lost and len(differences):
        reasons.append(f"left out: {lost} seed{'s' if lost > 1 else ''} not finished in both")
    return "; ".join(reasons)


def _nonparametric(first: np.ndarray, second: np.ndarray, differences: np.ndarray) -> dict[str, float]:
    """Test signs and ranks; SciPy's default is exact up to 50 pairs, or up to 13 with ties or zeros."""
    wins = stats.mannwhitneyu(second, first).statistic
    return {
        "wilcoxon_p": stats.wilcoxon(differences).pvalue if differences.any() else np.nan,
        "wilcoxon_p_min": smallest_wilcoxon_p(len(differences)),
        "cliffs_delta": 2 * wins / (len(first) * len(second)) - 1,
    }


def _spread(first: np.ndarray, second: np.ndarray, differences: np.ndarray) -> dict[str, float]:
    spread = (first.std(ddof=1) + second.std(ddof=1)) / 2
    return {
        "sd_difference": differences.std(ddof=1),
        "cohens_d_av": differences.mean() / spread if varies(first) or varies(second) else np.nan,
    }


def _difference_test(differences: np.ndarray) -> dict[str, float]:
    test = stats.ttest_1samp(differences, 0)
    low, high = test.confidence_interval(1 - ALPHA)
    sd = differences.std(ddof=1)
    return {
        "ci_low": low,
        "ci_high": high,
        "t_p": test.pvalue,
        "cohens_d_z": differences.mean() / sd,
        "detectable": detectable_effect(len(differences)) * sd,
    }


def _equivalence_test(judged: np.ndarray, metric: Metric) -> dict[str, float]:
    if not metric.on_ratio:
        return {"tost_p": DescrStatsW(judged).ttost_mean(*metric.bounds)[0]}
    _, low, high = mean_interval(judged)
    tost_p = DescrStatsW(judged).ttost_mean(*np.log(metric.bounds))[0]
    return {"tost_p": tost_p, "ratio_low": np.exp(low), "ratio_high": np.exp(high)}
