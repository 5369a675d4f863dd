"""Training curves, and bars of the results."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lib.analysis.contrasts import METRICS, title
from lib.figures.style import INK, WIDTH, Drawing, looks, name_rows, plain_log_ticks, present, styled
from lib.study.study import Comparison

PANELS = {
    "train_loss": "Train loss (log scale)",
    "val_accuracy": "Val accuracy",
    "val_macro_f1": "Val macro-F1",
    "learning_rate": "Learning rate of the last step",
}


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
    axes[0, 0].set_yscale("log")
    plain_log_ticks(axes[0, 0].yaxis)
    for axis in axes[0, 1], axes[1, 0]:
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    for axis in axes[1]:
        axis.set_xlabel("Epoch")
    means = [Line2D([], [], linewidth=1.5, label=f"{title(level)}, mean", **look) for level, look in looking.items()]
    seed = Line2D([], [], linewidth=0.6, color=INK, label="one seed (thin)")
    figure.legend(handles=[*means, seed], loc="outside upper center", ncols=3)
    return figure


@styled
def bars(results: pd.DataFrame, metric: str, precision: str, comparison: Comparison) -> Figure:
    """Draw a metric's mean for each group at one precision, one bar per level.

    Every seed is a dot, and an error bar is the standard deviation over the seeds (n - 1) to either side. The axis
    starts at zero, since the length of a bar shows its value; `effects` shows the differences.
    """
    chosen = results[results["precision"] == precision]
    looking, among = looks(comparison), present(chosen, comparison)
    groups = list(chosen.groupby([key for key in comparison.group if key != "precision"], sort=False))
    figure = Drawing(figsize=(WIDTH, 1.1 + 0.21 * len(looking) * len(groups)), layout="constrained")
    axis = figure.subplots()
    step = 0.76 / len(looking)
    for place, (_, runs) in enumerate(groups):
        for rank, (level, look) in enumerate(looking.items()):
            values = runs.loc[runs[comparison.axis] == level, metric]
            _draw_bar(axis, place + step * (rank - (len(looking) - 1) / 2), values, 0.9 * step, look["color"])
    name_rows(axis, ["\n".join(names) for names, _ in groups])
    axis.set_xlabel(f"{METRICS[metric].title}, {precision}")
    axis.set_xlim(0, 1.15 * chosen[metric].max())
    if not METRICS[metric].on_ratio:
        axis.set_xlim(0, 1.12)
        axis.set_xticks(np.linspace(0, 1, 6))
        axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    means = [Patch(color=looking[name]["color"], alpha=0.5, lw=0, label=f"{title(name)}, mean") for name in among]
    seed = Line2D([], [], linestyle="", marker="o", markersize=2.5, color=INK, label="one seed")
    spread = Line2D([], [], color=INK, linewidth=1, label="± 1 standard deviation of the seeds")
    figure.legend(handles=[*means, seed, spread], loc="outside upper center", ncols=4)
    return figure


def _draw_course(axis: Axes, courses: pd.DataFrame, look: dict[str, object]) -> None:
    """Draw the seeds and their mean, with a dot for each epoch if there are few."""
    marker = "o" if len(courses) < 15 else ""
    axis.plot(courses.index, courses, color=look["color"], linewidth=0.6, alpha=0.5, marker=marker, markersize=1.5)
    axis.plot(courses.index, courses.mean(axis=1), linewidth=1.5, marker=marker, markersize=3, **look)


def _draw_bar(axis: Axes, place: float, values: pd.Series, height: float, colour: str) -> None:
    """Draw one bar with its mean as a number, its seeds as dots, and their spread."""
    if values.empty:
        return
    mean, spread = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axis.barh(place, mean, height=height, color=colour, alpha=0.5, linewidth=0)
    heights = place + height / 1.7 / len(values) * (np.arange(len(values)) - (len(values) - 1) / 2)
    axis.plot(values, heights, "o", color=INK, markersize=2.2, markeredgewidth=0)
    if spread:
        axis.errorbar(mean, place, xerr=spread, color=INK, linewidth=1, capsize=2.5)
    text = f"{mean:.1%}".replace("%", " %") if not METRICS[values.name].on_ratio else f"{mean:,.0f}"
    end = max(values.max(), mean + spread)
    axis.annotate(text, (end, place), (8, 0), textcoords="offset points", va="center", fontsize=7)
