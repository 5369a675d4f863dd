"""Captions of the figures of training and results, and alternative texts that state what the figures show."""

import pandas as pd

from lib.analysis.contrasts import METRICS, UNRELIABLE, sides, title
from lib.figures.style import present, telling
from lib.study.study import Comparison
from lib.words import explained


def curves(epochs: pd.DataFrame, comparison: Comparison) -> tuple[str, str]:
    """Return the caption and the alternative text of curves, from their rows of `results.epochs`."""
    groups = list(epochs.groupby(comparison.group, sort=False))
    shared = [epochs[key].iloc[0] for key in comparison.group if epochs[key].nunique() == 1]
    counts = epochs.groupby([*comparison.group, comparison.axis], sort=False)["seed"].nunique().unique()
    seeds = " or ".join(f"{count}" for count in sorted(counts))
    levels = " and ".join(title(level) for level in present(epochs, comparison))
    many = f"{len(groups)} groups of runs, " if len(groups) > 1 else ""
    each = f"{seeds} seed{'s' if seeds != '1' else ''} each, {epochs['epoch'].max()} epochs"
    caption = f"{many}{', '.join(shared)}: {levels}, {each}."
    alt = "Val accuracy after the last epoch, mean of the seeds: "
    return caption, alt + "; ".join(_last(keys, rows, comparison) for keys, rows in groups) + "."


def means(results: pd.DataFrame, metric: str, precision: str, comparison: Comparison) -> tuple[str, str]:
    """Return the caption and the alternative text of `training.means`."""
    of = METRICS[metric]
    what = f"{_capitalised(of.title)} in {precision}"
    chosen = results[results["precision"] == precision]
    caption = f"{what}: mean over the seeds, each seed, and ± 1 standard deviation."
    if of.on_ratio:
        doubt = explained(chosen.drop_duplicates([*comparison.group, comparison.axis])["timing"])
        caption = f"{caption} {doubt}".strip()
    form = "{:,.0f}" if of.on_ratio else "{:.1%}"
    groups = chosen.groupby([key for key in comparison.group if key != "precision"], sort=False)
    parts = [f"{', '.join(keys)}: {_by_level(rows, metric, comparison, form)}" for keys, rows in groups]
    return caption, f"{what}, mean of the seeds. {'; '.join(parts)}."


def effects(table: pd.DataFrame, metric: str, comparison: Comparison) -> tuple[str, str]:
    """Return the caption and the alternative text of `effects.effects`: each row's difference, and its verdict."""
    rows = table[table["metric"] == metric]
    on_ratio = METRICS[metric].on_ratio
    against, level = sides(comparison)
    parts = []
    for (_, row), names in zip(rows.iterrows(), rows[telling(rows, comparison)].to_numpy(), strict=True):
        value = f"{row['ratio']:.3f}" if on_ratio else f"{100 * row['delta']:+.2f} points"
        parts.append(f"{' '.join(names)}: {value}, {row['judgement']}")
    what = f"{_capitalised(METRICS[metric].title)}, {level} {'/' if on_ratio else 'minus'} {against}"
    caption = f"{what}: each pair of runs, their mean and its 95 % t interval; the band is the margin."
    if (rows["judgement"] == UNRELIABLE).any():
        caption += " A hollow mean is of times that are not to be relied on."
    return caption, f"{what}. {'; '.join(parts)}."


def growth(table: pd.DataFrame) -> tuple[str, str]:
    """Return the caption and the alternative text of `growth.draw_growth`: each command's seconds by its runs."""
    *smaller, largest = (f"{count:,}" for count in sorted(table["runs"].unique()))
    sizes = f"{', '.join(smaller)} and {largest}" if smaller else largest
    caption = f"Seconds of commands on studies of {sizes} generated runs, one process each, on log axes."
    parts = [
        f"{what} {', '.join(f'{row.seconds:.1f} s for {row.runs:,}' for row in rows.itertuples())}"
        for what, rows in table.sort_values("runs").groupby("what", sort=False)
    ]
    return caption, f"Seconds by the number of runs: {'; '.join(parts)}."


def _capitalised(text: str) -> str:
    """Return a text with a capital first letter, and the others as they are: Test macro-F1."""
    return text[:1].upper() + text[1:]


def _last(keys: tuple[str, ...], rows: pd.DataFrame, comparison: Comparison) -> str:
    last = rows[rows["epoch"] == rows["epoch"].max()]
    return f"{', '.join(keys)}: {_by_level(last, 'val_accuracy', comparison, '{:.1%}')}"


def _by_level(rows: pd.DataFrame, column: str, comparison: Comparison, form: str) -> str:
    found = rows.groupby(comparison.axis)[column].mean()
    return ", ".join(f"{title(level)} {form.format(found[level])}" for level in present(rows, comparison))
