"""Training curves, and the means of the results."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from lib.analysis.contrasts import METRICS, title
from lib.figures.style import (
    HATCHES,
    INK,
    WIDTH,
    Drawing,
    in_percent,
    looks,
    name_levels,
    name_rows,
    plain_log_ticks,
    present,
    styled,
)
from lib.study.study import Comparison
from lib.words import signed

PANELS = {
    "train_loss": "Train loss (log scale)",
    "val_accuracy": "Val accuracy",
    "val_macro_f1": "Val macro-F1",
    "learning_rate": "Learning rate of the last step",
}
MANY = 15
"""From so many epochs on, they have no markers, and the val accuracy of the later half is drawn again, larger."""


@styled
def curves(epochs: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw the training of one group: one thin line per seed, one bold mean per level.

    `epochs` holds that group's rows of `results.epochs`. The mean is over the seeds that reached the epoch.
    """
    figure = Drawing(figsize=(WIDTH, 4.1), layout="constrained")  # two of these with captions fit on a page
    axes = figure.subplots(2, 2, sharex=True)
    looking = {level: look for level, look in looks(comparison).items() if level in present(epochs, comparison)}
    for (column, heading), axis in zip(PANELS.items(), axes.flat, strict=True):
        axis.set_title(heading)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        for level, look in looking.items():
            runs = epochs[epochs[comparison.axis] == level]
            _draw_course(axis, runs.pivot(index="epoch", columns="seed", values=column), look)
    if epochs["epoch"].max() >= MANY:
        _draw_late(axes[0, 1], epochs, comparison)
    axes[0, 0].set_yscale("log")
    plain_log_ticks(axes[0, 0].yaxis)
    for axis in axes[0, 1], axes[1, 0]:
        in_percent(axis.yaxis)
    for axis in axes[1]:
        axis.set_xlabel("Epoch")
    means = [Line2D([], [], linewidth=1.5, label=f"{title(level)}, mean", **look) for level, look in looking.items()]
    seed = Line2D([], [], linewidth=0.6, color=INK, label="one seed (thin)")
    figure.legend(handles=[*means, seed], loc="outside upper center", ncols=3)
    return figure


def side_by_side(epochs: pd.DataFrame, comparison: Comparison) -> Iterator[pd.DataFrame]:
    """Yield the rows of up to four groups each, which differ in the model where they can: those of one `draw_small`."""
    for _, rows in epochs.groupby([key for key in comparison.group if key != "model"], sort=False):
        members = [group for _, group in rows.groupby(comparison.group, sort=False)]
        yield from (pd.concat(members[start : start + 4]) for start in range(0, len(members), 4))


@styled
def draw_small(epochs: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw train loss and val accuracy of several groups as small multiples: a column for each group, a line per level.

    `epochs` holds the groups' rows of `results.epochs`. A line is the mean over the seeds, and a band reaches from the
    lowest to the highest.
    """
    groups = list(epochs.groupby(comparison.group, sort=False))
    varied = [key for key in comparison.group if epochs[key].nunique() > 1]
    figure = Drawing(figsize=(WIDTH, 2.9), layout="constrained")
    columns = figure.subplots(2, len(groups), sharex=True, sharey="row", squeeze=False).T
    looking = looks(comparison)
    for (loss, accuracy), (keys, group) in zip(columns, groups, strict=True):
        loss.set_title(", ".join(name for key, name in zip(comparison.group, keys, strict=True) if key in varied))
        for level in present(group, comparison):
            runs = group[group[comparison.axis] == level]
            for axis, column in ((loss, "train_loss"), (accuracy, "val_accuracy")):
                _draw_range(axis, runs.pivot(index="epoch", columns="seed", values=column), looking[level])
        accuracy.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        in_percent(accuracy.yaxis)
        accuracy.set_xlabel("Epoch")
    columns[0, 0].set_yscale("log")
    plain_log_ticks(columns[0, 0].yaxis)
    columns[0, 0].set_ylabel(PANELS["train_loss"])
    columns[0, 1].set_ylabel(PANELS["val_accuracy"])
    name_levels(figure, epochs, comparison)
    return figure


@styled
def means(results: pd.DataFrame, metric: str, precision: str, comparison: Comparison) -> Figure:
    """Draw a metric's mean for each group at one precision, one row per level, with each seed as a dot.

    An error bar is the standard deviation over the seeds (n - 1) to either side. A speed is a bar from zero, and has a
    sign if its `timing` says that it is not to be relied on; a share is a marker, on an axis that spans the results.
    """
    chosen = results[results["precision"] == precision]
    looking, on_ratio = looks(comparison), METRICS[metric].on_ratio
    groups = list(chosen.groupby([key for key in comparison.group if key != "precision"], sort=False))
    figure = Drawing(figsize=(WIDTH, 1.1 + 0.17 * len(looking) * len(groups)), layout="constrained")
    axis = figure.subplots()
    step = 0.76 / len(looking)
    for place, (_, runs) in enumerate(groups):
        for rank, level in enumerate(looking):
            of_level = runs[runs[comparison.axis] == level]
            values, reason = of_level[metric], of_level["timing"].max() if on_ratio and len(of_level) else ""
            height = place + step * (rank - (len(looking) - 1) / 2)
            if on_ratio and len(values):
                axis.barh(height, values.mean(), 0.9 * step, **_bar(looking[level], rank))
            _draw_seeds(axis, height, values, 0.9 * step, looking[level], on_ratio, reason)
    name_rows(axis, ["\n".join(names) for names, _ in groups])
    axis.set_xlabel(f"{METRICS[metric].title}, {precision}")
    if on_ratio:
        axis.set_xlim(0, 1.15 * chosen[metric].max())
    else:
        axis.margins(x=0.12)
        axis.xaxis.set_major_locator(MaxNLocator(6))
        in_percent(axis.xaxis)
    seed = Line2D([], [], linestyle="", marker="o", markersize=2.5, color=INK, label="one seed")
    spread = Line2D([], [], color=INK, linewidth=1, label="± 1 standard deviation of the seeds")
    among = [(rank, level) for rank, level in enumerate(looking) if level in present(chosen, comparison)]
    named = [
        Patch(**_bar(looking[level], rank), label=f"{title(level)}, mean")
        if on_ratio
        else Line2D([], [], **looking[level] | {"linestyle": ""}, label=f"{title(level)}, mean")
        for rank, level in among
    ]
    figure.legend(handles=[*named, seed, spread], loc="outside upper center", ncols=4)
    return figure


def _bar(look: dict[str, object], rank: int) -> dict[str, object]:
    """Return the look of a bar: pale, with the level's hatch."""
    return {
        "facecolor": to_rgba(look["color"], 0.45),
        "edgecolor": look["color"],
        "hatch": HATCHES[rank % len(HATCHES)],
    }


def _draw_course(axis: Axes, courses: pd.DataFrame, look: dict[str, object]) -> None:
    """Draw the seeds and their mean, with a marker for each epoch if there are few."""
    marker = look["marker"] if len(courses) < MANY else ""
    axis.plot(courses.index, courses, color=look["color"], linewidth=0.6, alpha=0.5, marker=marker, markersize=1.5)
    axis.plot(courses.index, courses.mean(axis=1), linewidth=1.5, markersize=3, **look | {"marker": marker})


def _draw_late(axis: Axes, epochs: pd.DataFrame, comparison: Comparison) -> None:
    """Draw the mean val accuracy of the later half of the epochs again, in the panel's lower right corner."""
    inset = axis.inset_axes((0.42, 0.12, 0.56, 0.5))
    late = epochs[epochs["epoch"] > epochs["epoch"].max() // 2]
    for level in present(late, comparison):
        runs = late[late[comparison.axis] == level]
        _draw_range(inset, runs.pivot(index="epoch", columns="seed", values="val_accuracy"), looks(comparison)[level])
    inset.yaxis.set_major_locator(MaxNLocator(3))
    in_percent(inset.yaxis)
    inset.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    inset.tick_params(labelsize=6)


def _draw_range(axis: Axes, courses: pd.DataFrame, look: dict[str, object]) -> None:
    """Draw the mean of the seeds, and a band from the lowest to the highest."""
    axis.fill_between(courses.index, courses.min(axis=1), courses.max(axis=1), color=look["color"], alpha=0.2, lw=0)
    marker = look["marker"] if len(courses) < MANY else ""
    axis.plot(courses.index, courses.mean(axis=1), linewidth=1.2, markersize=2.5, **look | {"marker": marker})


def _draw_seeds(
    axis: Axes,
    place: float,
    values: pd.Series,
    height: float,
    look: dict[str, object],
    on_ratio: bool,
    reason: str,
) -> None:
    """Draw the seeds as dots with their spread, and their mean as a number; a share's mean has the level's marker."""
    if values.empty:
        return
    mean, spread = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    heights = place + height / 1.7 / len(values) * (np.arange(len(values)) - (len(values) - 1) / 2)
    if not on_ratio:
        axis.plot(mean, place, **look | {"linestyle": ""}, markersize=6)
    axis.plot(values, heights, "o", color=INK, markersize=2.2, markeredgewidth=0)
    if spread:
        axis.errorbar(mean, place, xerr=spread, color=INK, linewidth=1, capsize=2.5)
    text = f"{mean:,.0f}" if on_ratio else f"{mean:.1%}".replace("%", " %")
    end = max(values.max(), mean + spread)
    axis.annotate(signed(text, reason), (end, place), (8, 0), textcoords="offset points", va="center", fontsize=7)
