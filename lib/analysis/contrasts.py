"""Comparisons of two levels of an axis, seed by seed, all else equal.

A framework, an arm, a model or a precision is a level. Every difference is the level minus the one it is compared
`against`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.analysis import rows
from lib.analysis.estimates import Estimate
from lib.analysis.inference import ALPHA, CLIFF, COHEN, correlation, holm, rounded, size
from lib.study.margins import margins
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
    "ci_low": "95 % t interval of the difference by the judging test, lower end",
    "ci_high": "upper end",
    "sd_difference": "standard deviation of the paired differences (n - 1)",
    "t_p": "paired t test, two-sided p; NaN without a spread of the differences",
    "holm_p": "p of the judging test after Holm's correction over the metric's judged rows",
    "wilcoxon_p": "Wilcoxon signed-rank test, two-sided exact p",
    "wilcoxon_p_min": "the smallest p that this test can give with as many pairs that differ",
    "cohens_d_z": "delta / sd_difference (Cohen 1988; Lakens 2013, eq. 6)",
    "cohens_d_av": "delta / mean of the two levels' standard deviations (Lakens 2013, eq. 10)",
    "cliffs_delta": "P(level > against) - P(level < against) over all n x n combinations (Cliff 1993)",
    "ratio": "geometric mean of level / against, where the margin is on the ratio",
    "ratio_low": "its 95 % t interval on the log scale by the judging test, lower end",
    "ratio_high": "upper end",
    "margin_low": "equivalence margin of the difference, or of the ratio where there is one",
    "margin_high": "upper end",
    "tost_p": "two one-sided t tests against the margin by the judging test, p; NaN without a spread",
    "tost_holm_p": "tost_p after Holm's correction over the metric's judged rows",
    "detectable": "smallest difference the judging test detects with power 0.8 at alpha 0.05, given this scatter",
    "judgement": "equivalent, different or undecided by corrected tests; else why there is no verdict",
    "reason": "why a value or a verdict is missing, whether the row is judged by inspection, which seeds are left out",
    "test": "the judging test: paired, or Welch where the pairs share the number of their seed alone",
    "se": "standard error of the difference by the judging test; of the log ratio where there is a ratio",
    "freedom": "its degrees of freedom",
    "welch_p": "Welch's t test, two-sided p; NaN where neither level varies",
    "paired_low": "95 % interval of the paired t test, lower end",
    "paired_high": "upper end",
    "welch_low": "95 % interval of Welch's test, lower end",
    "welch_high": "upper end",
}
"""The columns of `compare` after those of the group, each with its meaning."""


DESCRIPTIVE = "descriptive"
UNRELIABLE = "timing not reliable"
"""Instead of a verdict: the metric is not judged, or the row's times are not to be relied on."""

NAMED_FROM = 10
"""Pairs from which an effect's size is named: of five pairs without any effect, a quarter would be called large."""


@dataclass(frozen=True)
class Metric:
    """A compared quantity, and the kind of its equivalence margin in `params/margins.yaml`; that of a speed is a ratio.

    The rows of one metric are a family: Holm's correction is over them. A metric that is not `judged` is described.
    """

    title: str
    kind: str = "accuracy"
    judged: bool = True

    @property
    def on_ratio(self) -> bool:
        """Whether the two levels are compared by their ratio."""
        return self.kind == "speed"

    def bounds(self, margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the two ends of a margin; those of a ratio are reciprocal, so neither level is favoured."""
        return (1 / (1 + margin), 1 + margin) if self.on_ratio else (-margin, margin)


METRICS = {
    "test_accuracy": Metric("test accuracy"),
    "test_macro_f1": Metric("test macro-F1", judged=False),
    "images_per_sec_avg": Metric("images per second", "speed"),
    "train_accuracy_last": Metric("train accuracy of the last epoch"),
    "dead_share": Metric("share of dead units", "dead_units"),
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
    wide = wide.loc[pd.MultiIndex.from_frame(table[[*group, "seed"]].drop_duplicates())]  # in the order of the results
    paired = [wide[[against, level]].set_axis(["first", "second"], axis=1).assign(level=level) for level in others]
    found = pd.concat([wide[[]].assign(level="", first=np.nan, second=np.nan)[:0], *paired]).reset_index()
    return found.dropna(how="all", subset=["first", "second"])[[*group, "level", "seed", "first", "second"]]


def compare(
    results: pd.DataFrame,
    comparison: Comparison,
    metrics: Sequence[str] = COMPARED,
    native: Collection[tuple[str, ...]] = (),
    unreliable: Mapping[tuple[str, ...], str] | None = None,
) -> pd.DataFrame:
    """Compare the levels of an axis in each group and each metric: one row per comparison.

    `results` is the table of `analysis.results`, and `metrics` are keys of `METRICS` among its columns. `native` are
    the groups whose pairs share only the number of their seed: Welch's test judges them, and the paired t test all
    others. `unreliable` gives the reason why the speeds of a group and level are not judged.

    A row is *equivalent* if its difference lies within the margin (`tost_holm_p` below 0.05), else *different* if it is
    not zero (`holm_p` below 0.05), else *undecided*. A significant difference within the margin is therefore judged
    equivalent: the margin defines what matters. Each metric is a family of its own. A statistic that the data do not
    allow is NaN, and `reason` says why.

    At least two pairs whose differences are all zero, such as those of an arm that changes nothing, have no spread to
    test against. Such a row is equivalent by inspection. It has no p and does not count in Holm's correction. Any other
    row without a spread is undecided.

    Returns:
        The columns of the comparison's group, then `COLUMNS`, in the order of the results.

    Raises:
        ParameterError: the margins cannot be read.
    """
    parts = [
        _judged(_measured(results, comparison, metric, native), comparison, METRICS[metric], unreliable or {})
        for metric in metrics
    ]
    table = pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
    return table[[*comparison.group, *COLUMNS]]


def _measured(
    results: pd.DataFrame, comparison: Comparison, name: str, native: Collection[tuple[str, ...]]
) -> pd.DataFrame:
    """Return the rows of one metric without a verdict, which needs the other rows."""
    metric, by = METRICS[name], [*comparison.group, "level"]
    found = pairs(results, comparison, name)
    keys = found[by].drop_duplicates(ignore_index=True)
    unpaired = np.array(
        [key in native for key in keys[comparison.group].itertuples(index=False, name=None)], dtype=bool
    )
    table = rows.measure(rows.samples(found, by), unpaired, metric.on_ratio)
    fixed = margins()
    low, high = metric.bounds(np.array([fixed.of(metric.kind, dataset) for dataset in keys["dataset"]]))
    estimate = Estimate(*table[["estimate", "se", "freedom"]].to_numpy(dtype=float).T)
    ends = (np.log(low), np.log(high)) if metric.on_ratio else (low, high)
    table = table.assign(margin_low=low, margin_high=high, tost_p=estimate.equivalence_p(*ends))
    stated = keys.assign(against=comparison.against, metric=name)
    return pd.concat([stated, table], axis=1).reindex(columns=[*comparison.group, *COLUMNS, "p", "inspected"])


def _judged(
    table: pd.DataFrame, comparison: Comparison, metric: Metric, unreliable: Mapping[tuple[str, ...], str]
) -> pd.DataFrame:
    """Add corrected p values and verdicts to the rows of one metric, which are one family."""
    keys = table[[*comparison.group, "level"]].itertuples(index=False, name=None)
    doubts = pd.Series([unreliable.get(key, "") if metric.on_ratio else "" for key in keys], table.index, dtype=str)
    counts = (doubts == "") & metric.judged
    corrected = {"holm_p": holm(table["p"].where(counts)), "tost_holm_p": holm(table["tost_p"].where(counts))}
    equivalent = table["inspected"] | (corrected["tost_holm_p"] < ALPHA)
    verdict = np.select([equivalent, corrected["holm_p"] < ALPHA], ["equivalent", "different"], "undecided")
    verdict = np.where(counts, verdict, UNRELIABLE if metric.judged else DESCRIPTIVE)
    reasons = [
        f"{doubt}; {reason}" if doubt and reason else doubt or reason
        for doubt, reason in zip(doubts, table["reason"], strict=True)
    ]
    return table.assign(**corrected, judgement=verdict, reason=reasons)


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
    summary["effect_size"] = _named(table, "cohens_d_av", COHEN)
    summary["cliffs_delta"] = table["cliffs_delta"]
    summary["cliffs_size"] = _named(table, "cliffs_delta", CLIFF)
    higher = table["level"].where(table["delta"] > 0, table["against"]).map(title) + " higher"
    summary["verdict"] = table["judgement"].mask(table["judgement"] == "different", higher)
    return summary


def _named(table: pd.DataFrame, column: str, bounds: Mapping[float, str]) -> list[str]:
    """Name the sizes of effects, or say that there are too few pairs to name one."""
    few = f"below {NAMED_FROM} pairs"
    return [
        size(effect, bounds) if n >= NAMED_FROM else few for effect, n in zip(table[column], table["n"], strict=True)
    ]


def summary_markdown(summary: pd.DataFrame, comparison: Comparison) -> str:
    """Write the published table of `significance_summary` as a Markdown page."""
    against, level = sides(comparison)
    head = f"{level} minus {against}; alpha {ALPHA}, p after Holm's correction over the rows of a metric."
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
