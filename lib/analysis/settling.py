"""What would settle an undecided comparison: how many pairs, and the rule by which seeds may be added.

`python -m lib.analysis.settling STUDY` prints what the rule says.
"""

import argparse
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from lib.analysis import judgements
from lib.analysis.contrasts import METRICS
from lib.analysis.headline import Headline, pooled_variances, scaled
from lib.analysis.inference import ALPHA, POWER
from lib.errors import one_line
from lib.runs import records
from lib.study.loading import load_study
from lib.study.study import Study

SHARED = 0.5
"""The correlation within pairs that is assumed of a shared pairing; without runs that share, nothing shows it."""

FIRST = 5
"""The seeds after which the rule fixes how many there will be."""

MOST = 10_000
_QUANTILES = (np.arange(200) + 0.5) / 200

COLUMNS = {
    "aim": "the verdict that the estimate points at: equivalent if it lies within the margin, else different",
    "n": "pairs so far",
    "pairs": "pairs for that verdict with power 0.8, paired as now; NaN above 10,000",
    "hours": "of the pairs that are missing, one run after another, as long as the runs so far took",
    "pairs_shared": "pairs that it would take with a shared pairing and a correlation of 0.5; NaN where it is shared",
    "hours_shared": "of all these pairs, none of which exists",
}
"""The columns of `settling` after those that name the row."""


def settling(table: pd.DataFrame, group: list[str], hours: Mapping[tuple[str, ...], float]) -> pd.DataFrame:
    """Return what it would take to settle each undecided row of `contrasts.compare` that has a spread.

    `group` are the columns of the comparison's group, and `hours` are those of one pair, by group and level. The level
    of the tests is that of the smallest p after Holm's correction. An equivalence is planned for no true difference, a
    difference for one of the observed size.

    Returns:
        `group`, `level` and `metric`, then `COLUMNS`.
    """
    tests = table.groupby("metric")["holm_p"].count()
    rows = []
    undecided = table[(table["judgement"] == "undecided") & table["se"].notna()]
    for value, (_, row) in zip(scaled(undecided).value, undecided.iterrows(), strict=True):
        margin = np.log(row["margin_high"]) if METRICS[row["metric"]].on_ratio else row["margin_high"]
        keys = (*row[group], row["level"])
        apart = row["test"] == "Welch"
        level = ALPHA / tests[row["metric"]]
        wanted = _wanted(value, row["se"], row["freedom"], row["n"], margin, level, apart)
        rows.append((*keys, row["metric"], *_priced(*wanted, row["n"], hours.get(keys, np.nan))))
    return pd.DataFrame(rows, columns=[*group, "level", "metric", *COLUMNS])


def sentence(row: pd.Series) -> str:
    """Return a row of `settling` as a sentence."""
    what = METRICS[row["metric"]].title
    if np.isnan(row["pairs"]):
        return f"More than {MOST:,} pairs would be needed to call the {what} {row['aim']}; there are {row['n']}."
    shared = f"; if shared, {row['pairs_shared']:,.0f} pairs" if row["pairs_shared"] > 0 else ""
    hours = "" if np.isnan(row["hours"]) else f" ({row['hours']:,.1f} hours of training more)"
    return f"To call the {what} {row['aim']} takes {row['pairs']:,.0f} pairs instead of {row['n']}{hours}{shared}."


def settling_the_mean(found: Headline, n: int, apart: bool, hours: float) -> pd.Series:
    """Return `COLUMNS` for the mean of a headline: `n` pairs in each group, `hours` of one pair in all of them.

    `apart` says whether Welch's test judges its rows. The level is 0.05, since the mean is judged once.
    """
    wanted = _wanted(*found.mean, n, found.margin[1], ALPHA, apart)
    return pd.Series(_priced(*wanted, n, hours), index=list(COLUMNS))


def mean_sentence(found: Headline, need: pd.Series) -> str:
    """Return what `settling_the_mean` found as a sentence."""
    if np.isnan(need["pairs"]):
        return f"The mean over {found.groups} groups would take more than {MOST:,} pairs in each."
    hours = "" if np.isnan(need["hours"]) else f", {need['hours']:,.1f} hours more"
    return f"The mean over {found.groups} groups takes {need['pairs']:.0f} pairs in each{hours}."


def _wanted(
    value: float, se: float, freedom: float, n: int, margin: float, level: float, apart: bool
) -> tuple[str, float, float]:
    sd, each = se * np.sqrt(n), freedom / (n - 1)
    aim = "equivalent" if abs(value) < margin else "different"
    target = margin if aim == "equivalent" else abs(value)
    shared = pairs_needed(aim, sd * np.sqrt(1 - SHARED), each / 2 if each > 2 else 1.0, target, level)
    return aim, pairs_needed(aim, sd, each, target, level), shared if apart else np.nan


def _priced(aim: str, pairs: float, shared: float, n: int, hours: float) -> tuple[str, int, float, float, float, float]:
    return aim, n, pairs, max(pairs - n, 0) * hours, shared, shared * hours


def pairs_needed(aim: str, sd: float, each: float, target: float, level: float) -> float:
    """Return the smallest number of pairs with power 0.8 for a verdict; NaN above 10,000.

    Args:
        aim: "equivalent", where `target` is the margin and there is no true difference; or "different", where it is the
            true difference.
        sd: the standard deviation of one pair; the standard error of n is sd / sqrt(n).
        each: the degrees of freedom that a pair beyond the first brings.
        target: on the scale of `sd`.
        level: of the tests.
    """
    power = equivalence_power if aim == "equivalent" else difference_power
    low, high = 1, 2
    while power(high, sd, each, target, level) < POWER:
        low, high = high, 2 * high
        if high > 2 * MOST:
            return np.nan
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(middle, sd, each, target, level) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def difference_power(n: int, sd: float, each: float, true: float, level: float) -> float:
    """Return the power of the two-sided t test for a true difference."""
    freedom = each * (n - 1)
    return float(stats.nct.sf(stats.t.isf(level / 2, freedom), freedom, true * np.sqrt(n) / sd))


def equivalence_power(n: int, sd: float, each: float, margin: float, level: float) -> float:
    """Return the power of the two one-sided t tests without a true difference, over quantiles of the SD seen."""
    freedom, se = each * (n - 1), sd / np.sqrt(n)
    seen = se * np.sqrt(stats.chi2.ppf(_QUANTILES, freedom) / freedom)
    room = np.maximum(margin - stats.t.isf(level, freedom) * seen, 0)
    return float((2 * stats.norm.cdf(room / se) - 1).mean())


def rule(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many seeds each dataset takes, from rows of `contrasts.compare` of the first five seeds.

    n = ceil(2 + (z(0.05 / rows) + z(0.1))^2 SD^2 / margin^2), and at least five, with the SD of a pair pooled over the
    dataset's rows. It depends on the scatter alone, and not on the differences. Fixed so after five seeds, and tested
    once, it keeps both error rates at 0.05 in simulations; testing again and again does not.

    Returns:
        `dataset`, `sd` of a pair, and `seeds`.
    """
    rows = rows[rows["se"].notna()]
    reach = stats.norm.isf(ALPHA / max(len(rows), 1)) + stats.norm.isf(0.1)
    variance = pooled_variances(rows)
    wanted = np.ceil(2 + reach**2 * variance / rows["margin_high"] ** 2).clip(lower=FIRST)
    table = rows[["dataset"]].assign(sd=np.sqrt(variance), seeds=wanted.astype(int))
    return table.groupby("dataset", sort=False, as_index=False).agg(sd=("sd", "first"), seeds=("seeds", "max"))


def planned(study: Study, found: pd.DataFrame) -> pd.DataFrame | None:
    """Return the `rule` for a study's first comparison, or None before its first five seeds are finished on both sides.

    `found` is the study's table of results, of which the keys and `test_accuracy` are read.
    """
    if not study.comparisons or len(study.seeds) < FIRST:
        return None
    first = found[found["seed"].isin(study.seeds[:FIRST])]
    comparison = study.comparisons[0]
    rows = judgements.judged(study, first, comparison, ("test_accuracy",))
    groups = len(study.matched(comparison.axis)) // len(study.seeds) * len(comparison.others)
    whole = len(rows) == groups and (rows["n"] == FIRST).all()
    return rule(rows) if whole and rows["se"].notna().any() else None


def _accuracies(study: Study) -> pd.DataFrame:
    """Return the results that the rule needs: the first seeds' alone, and no epoch logs, which take far longer."""
    found = records.finished(study, study.seeds[:FIRST])
    rows = [study.row(entry) | {"test_accuracy": record.test_accuracy} for entry, record in found]
    return pd.DataFrame(rows, columns=[*study.keys, "test_accuracy"])


def looks(study: Study, found: pd.DataFrame) -> str:
    """Return a sentence on how the number of seeds came about, which decides whether the error rates hold."""
    seeds, wanted = len(study.seeds), planned(study, found)
    asked = f"the rule asks for {wanted['seeds'].max()}" if wanted is not None else "the rule cannot be applied yet"
    if seeds <= FIRST:
        return f"The study file fixes {seeds} seeds, and their tests are made once; {asked}."
    if wanted is not None and seeds == wanted["seeds"].max():
        return f"The study has the {seeds} seeds that the rule fixed after the first {FIRST}: the error rates hold."
    return (
        f"**Looked at least 2 times**: the study has {seeds} seeds, more than {FIRST}, and {asked}. Tests that are "
        "made again as seeds are added err more often than they say."
    )


def main() -> None:
    """Read the command line and print what the rule says, for a study that compares something."""
    parser = argparse.ArgumentParser(prog="python -m lib.analysis.settling", description="The rule for adding seeds.")
    parser.add_argument("study", help="a file's stem in params/studies")
    with one_line():
        study = load_study(parser.parse_args().study)
        if not study.comparisons:
            return
        found = planned(study, _accuracies(study))
        if found is None:
            print(f"seeds: the rule can fix their number once the first {FIRST} are finished in every group")
            return
        each = ", ".join(f"{row.dataset} {row.seeds}" for row in found.itertuples())
        fixed = f"the rule fixes {found['seeds'].max()} ({each}), from the scatter of the first {FIRST} alone"
        print(f"seeds: {fixed}; the study has {len(study.seeds)}")


if __name__ == "__main__":
    main()
