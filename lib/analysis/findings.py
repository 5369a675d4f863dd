"""What a study found about accuracy and about speed, in a sentence each, for the report's first page."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.analysis import contrasts, settling
from lib.analysis.contrasts import title
from lib.analysis.headline import Headline, written
from lib.study.study import Comparison

_SPEED = "images_per_sec_avg"
_TIMES = "times as many images a second"
_NAMED = 3
_VERDICTS = {
    "different": "different",
    "equivalent": "equivalent, within ±{margin:g} points",
    "undecided": "undecided, whether different or within ±{margin:g} points",
}


def accuracy(found: Headline | None, rows: pd.DataFrame, comparison: Comparison) -> str:
    """Return the verdict on test accuracy: on the mean of the groups, on the only row, or counted over the rows.

    `rows` are those of `contrasts.compare` for test accuracy, and `found` the headline of the first other level, where
    there is one; several levels have a mean each, so that their rows are counted.
    """
    against, level = contrasts.sides(comparison)
    if found and len(comparison.others) == 1:
        verdict = _VERDICTS[found.judgement].format(margin=100 * found.margin[1])
        mean = _with_interval(found.mean.value, *found.mean.interval())
        mean = f"Over {found.groups} groups {level} minus {against} averages {mean}: {verdict}."
        return f"{mean} Group by group: {_counts(rows, [*comparison.group])}."
    if len(rows) == 1:
        (row,) = rows.itertuples()
        verdict = _VERDICTS[row.judgement].format(margin=100 * row.margin_high)
        pairs = f"{row.n} pair{'s' if row.n > 1 else ''}"
        return f"{level} minus {against}: {_with_interval(row.delta, row.ci_low, row.ci_high)}, {pairs}: {verdict}."
    keys = [key for key in comparison.group if rows[key].nunique() > 1]
    return f"Of {len(rows)} differences to {against}: {_counts(rows, [*keys, 'level'])}."


def counted(rows: pd.DataFrame, comparison: Comparison) -> str:
    """Return a line on the rows of one metric of `contrasts.compare`: the verdicts, and the span of the differences."""
    metric = contrasts.METRICS[rows["metric"].iloc[0]]
    against, level = contrasts.sides(comparison)
    counts = ", ".join(f"{count} {judgement}" for judgement, count in rows["judgement"].value_counts().items())
    values, form = (rows["ratio"], "{:.3f}") if metric.on_ratio else (100 * rows["delta"], "{:+.2f}")
    low, high = form.format(values.min()), form.format(values.max())
    span = low if low == high else f"from {low} to {high}"
    what = f"{level} / {against} {span}" if metric.on_ratio else f"{level} minus {against} {span} points"
    return f"- **{metric.title}**: {counts}; {what}."


def _counts(rows: pd.DataFrame, keys: Sequence[str]) -> str:
    """Return how many rows have each verdict; those that are different by name, where they are few."""
    counts = {verdict: (rows["judgement"] == verdict).sum() for verdict in _VERDICTS}
    parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    apart = rows[rows["judgement"] == "different"]
    if 0 < len(apart) <= _NAMED:
        names = [f"{' '.join(row[keys])} {written(row['delta'], row['metric'])}" for _, row in apart.iterrows()]
        parts[0] += f" ({', '.join(names)} points)"
    return ", ".join(parts) or "none judged"


def _with_interval(value: float, low: float, high: float) -> str:
    mean, low_end, high_end = (written(one, "test_accuracy") for one in (value, low, high))
    return f"{mean} points" + ("" if np.isnan(low) else f" (95 % {low_end} to {high_end})")


def speed(results: pd.DataFrame, rows: pd.DataFrame, comparison: Comparison) -> str:
    """Return a sentence on the speeds of a comparison's levels, and whether these times can be relied on.

    `results` is the table of `timing.marked`, with at least one run, and `rows` that of `judgements.judged` for its
    speeds. The speeds are those of all epochs, without validation. Ratios are geometric means over pairs of the same
    seed, and over the groups; that of a single group has the 95 % interval of its row.
    """
    if not comparison.others:
        told = f"The runs trained {results[_SPEED].min():,.0f} to {results[_SPEED].max():,.0f} images a second"
        return f"{told}{not_reliable(results)}."
    found = rows[rows["ratio"].notna()]
    if found.empty:
        return "No pair of runs has finished yet, so no speeds are compared."
    told, doubtful = _ratios(found, comparison), found[found["judgement"] == contrasts.UNRELIABLE]
    if doubtful.empty:
        return f"{told}."
    where = f" in {len(doubtful)} of {len(found)} groups" if len(found) > 1 else ""
    return f"Not decided, since the times cannot be relied on{where}: {doubtful['reason'].iloc[0]}. Measured: {told}."


def not_reliable(table: pd.DataFrame) -> str:
    """Return the end of a sentence on times, in brackets, if one row of a table has a reason not to rely on its own."""
    reason = table["timing"].max() if len(table) else ""
    return f" (timing not reliable: {reason})" if reason else ""


def _ratios(rows: pd.DataFrame, comparison: Comparison) -> str:
    logs, against = np.log(rows["ratio"]), title(comparison.against)
    levels = logs.groupby(rows["level"], sort=False).mean()
    first = f"{title(levels.index[0])} trained {np.exp(levels.iloc[0]):.2f} {_TIMES} as {against}"
    if len(levels) > 1:
        ends = [f"{np.exp(levels[level]):.2f} ({title(level)})" for level in (levels.idxmin(), levels.idxmax())]
        return f"{len(levels)} {comparison.axis}s trained {' to '.join(ends)} {_TIMES} as {against}"
    if len(rows) > 1:
        low, high = np.exp([logs.min(), logs.max()])
        return f"{first}, in the geometric mean of {len(rows)} groups; single groups from {low:.2f} to {high:.2f}"
    (row,) = rows.itertuples()
    interval = "" if np.isnan(row.ratio_low) else f"95 % {row.ratio_low:.2f} to {row.ratio_high:.2f}, "
    return f"{first} ({interval}{row.n} pair{'s' if row.n > 1 else ''} of runs)"


def next_step(undecided: pd.DataFrame, of_mean: str, rows: pd.DataFrame) -> str:
    """Return what would settle what is open.

    `undecided` is the table of `settling.settling`, `of_mean` the sentence on an undecided mean of the groups, and
    `rows` the table of `judgements.judged`.
    """
    of_accuracy = undecided[undecided["metric"] == "test_accuracy"]
    verdicts = rows.loc[rows["metric"] == "test_accuracy", "judgement"]
    if of_mean:
        told = of_mean
    elif len(of_accuracy) == 1:
        told = settling.sentence(of_accuracy.iloc[0])
    elif len(of_accuracy):
        pairs = _span(of_accuracy["pairs"])
        told = f"{len(of_accuracy)} differences in accuracy are undecided; they take {pairs} pairs each."
    elif (verdicts == "undecided").any():
        told = "Differences in accuracy without a spread cannot be judged: more seeds are needed."
    else:
        told = "The differences in accuracy are decided for these networks and images."
    if (rows["judgement"] == contrasts.UNRELIABLE).any():
        told += " Speeds need runs that have a machine to themselves."
    return told


def _span(pairs: pd.Series) -> str:
    """Write the least and the largest number of pairs; `settling.MOST` is the largest that is computed."""
    low, high = pairs.min(), pairs.max(skipna=False)
    most = f"more than {settling.MOST:,}" if np.isnan(high) else f"{high:,.0f}"
    return most if np.isnan(low) or low == high else f"{low:,.0f} to {most}"
