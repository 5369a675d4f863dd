"""The report's figures, drawn for a page that is 16 cm wide.

A framework has one colour and one dash everywhere; the colours (Okabe and Ito 2008) differ for every kind of sight.
"""

import io
from collections.abc import Callable
from functools import wraps

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from lib.analysis.contrasts import METRICS
from lib.analysis.results import GROUP

WIDTH = 16 / 2.54
"""Inches: the text width of the PDF, so that a font size here is a font size on paper."""

TITLES = {"keras": "Keras", "pytorch": "PyTorch"}
LINES = {"keras": {"color": "#0072B2", "linestyle": "-"}, "pytorch": {"color": "#D55E00", "linestyle": (0, (4, 1.5))}}
INK = "#333333"
MARGIN = "#BFE5DA"
PART = "#009E73"

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.6,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "white",
}

PANELS = {
    "train_loss": "Train loss (log scale)",
    "val_accuracy": "Val accuracy",
    "val_macro_f1": "Val macro-F1",
    "learning_rate": "Learning rate of the last step",
}


class Drawing(Figure):
    """A figure that Jupyter shows by itself, without pyplot, which would keep it open and show it twice."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=150)
        return file.getvalue()


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the report's style, and leave matplotlib's own settings as they were."""

    @wraps(draw)
    def inside(*args: object, **kwargs: object) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return inside


@styled
def curves(epochs: pd.DataFrame) -> Figure:
    """Draw the training of one dataset, model and precision: a thin line a seed, a bold mean a framework.

    `epochs` holds that group's rows of `records.epochs`. The mean is over the seeds that reached the epoch.
    """
    figure = Drawing(figsize=(WIDTH, 4.1), layout="constrained")  # two of them, with captions, on a page
    axes = figure.subplots(2, 2, sharex=True)
    present = _present(epochs)
    for (column, title), axis in zip(PANELS.items(), axes.flat, strict=True):
        axis.set_title(title)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        for framework in present:
            runs = epochs[epochs["framework"] == framework]
            _draw_course(axis, runs.pivot(index="epoch", columns="seed", values=column), framework)
    axes[0, 0].set_yscale("log")
    _plain_log_ticks(axes[0, 0].yaxis)
    for axis in axes[0, 1], axes[1, 0]:
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    for axis in axes[1]:
        axis.set_xlabel("Epoch")
    means = [Line2D([], [], linewidth=1.5, label=f"{TITLES[name]}, mean", **LINES[name]) for name in present]
    seed = Line2D([], [], linewidth=0.6, color=INK, label="one seed (thin)")
    figure.legend(handles=[*means, seed], loc="outside upper center", ncols=3)
    return figure


@styled
def bars(results: pd.DataFrame, metric: str, precision: str) -> Figure:
    """Draw a metric's mean for each dataset and model at one precision, a bar a framework.

    Every seed is a dot, and an error bar is the standard deviation over the seeds (n - 1) to either side. The axis
    starts at zero, as the length of a bar is its meaning; `effects` shows the differences.
    """
    chosen = results[results["precision"] == precision]
    present = _present(chosen)
    groups = list(chosen.groupby(["dataset", "model"], sort=False))
    figure = Drawing(figsize=(WIDTH, 1.1 + 0.42 * len(groups)), layout="constrained")
    axis = figure.subplots()
    for place, (_, runs) in enumerate(groups):
        for framework, offset in zip(TITLES, (-0.19, 0.19), strict=True):
            _draw_bar(axis, place + offset, runs.loc[runs["framework"] == framework, metric], framework)
    _name_rows(axis, ["\n".join(names) for names, _ in groups])
    axis.set_xlabel(f"{METRICS[metric].title}, {precision}")
    axis.set_xlim(0, 1.15 * chosen[metric].max())
    if not METRICS[metric].on_ratio:
        axis.set_xlim(0, 1.12)
        axis.set_xticks(np.linspace(0, 1, 6))
        axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    means = [Patch(color=LINES[name]["color"], alpha=0.5, lw=0, label=f"{TITLES[name]}, mean") for name in present]
    seed = Line2D([], [], linestyle="", marker="o", markersize=2.5, color=INK, label="one seed")
    spread = Line2D([], [], color=INK, linewidth=1, label="± 1 standard deviation of the seeds")
    figure.legend(handles=[*means, seed, spread], loc="outside upper center", ncols=4)
    return figure


@styled
def effects(comparison: pd.DataFrame, metric: str) -> Figure:
    """Draw a metric's paired differences with their 95 % t intervals, and the equivalence margin as a band.

    `comparison` is the table of `statistics.compare`. Accuracy and F1 are in points, PyTorch minus Keras; a speed is
    the ratio PyTorch / Keras on a log scale. A row without an interval has too few pairs, or no spread, for one.
    """
    on_ratio = METRICS[metric].on_ratio
    rows = comparison[comparison["metric"] == metric]
    columns = ["ratio", "ratio_low", "ratio_high"] if on_ratio else ["delta", "ci_low", "ci_high"]
    unit = 1 if on_ratio else 100
    effect, low, high = unit * rows[columns].to_numpy(dtype=float).T
    margin = [unit * bound for bound in METRICS[metric].bounds]
    figure = Drawing(figsize=(WIDTH, 1.2 + 0.21 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.axvspan(*margin, color=MARGIN, linewidth=0, label="equivalence margin")
    axis.hlines(range(len(rows)), low, high, color=INK, linewidth=1.2, label="95 % t interval")
    axis.plot(effect, range(len(rows)), "o", color=INK, markersize=4, label="mean over the pairs")
    _name_rows(axis, [" ".join(names) for names in rows[GROUP].to_numpy()])
    _centre(axis, np.array([*effect, *low, *high, *margin]), on_ratio)
    scale = "PyTorch / Keras," if on_ratio else "PyTorch minus Keras, points of"
    axis.set_xlabel(f"← Keras higher        PyTorch higher →\n{scale} {METRICS[metric].title}")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


@styled
def waterfall(effects: pd.DataFrame, on_ratio: bool) -> Figure:
    """Draw how a gap between the frameworks comes about, a panel a model: the whole, each cause's part, what is left.

    `effects` is a table of `attribution.effects`. Each bar of a cause starts where the one before it ended, and goes
    back by the cause's part; a whisker is its 95 % t interval. An accuracy is in points, PyTorch minus Keras; a speed
    is the ratio PyTorch / Keras on a log scale.
    """
    groups = list(effects.groupby(GROUP, sort=False))
    heights = [len(rows) for _, rows in groups]
    figure = Drawing(figsize=(WIDTH, 0.9 + sum(0.5 + 0.23 * height for height in heights)), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (keys, rows) in zip(panels, groups, strict=True):
        _draw_waterfall(axis, rows, on_ratio)
        axis.set_title(" ".join(keys))
    scale = "Speed, PyTorch / Keras" if on_ratio else "Test accuracy, PyTorch minus Keras, points"
    panels[-1].set_xlabel(f"← Keras higher        PyTorch higher →\n{scale}")
    whole = Patch(color=INK, alpha=0.6, lw=0, label="the gap, whole and left")
    part = Patch(color=PART, lw=0, label="what a cause takes off it")
    reach = Line2D([], [], color=INK, linewidth=1, label="95 % t interval")
    figure.legend(handles=[whole, part, reach], loc="outside upper center", ncols=3)
    return figure


def _draw_waterfall(axis: Axes, rows: pd.DataFrame, on_ratio: bool) -> None:
    """Draw the whole gap, the parts from there on, and what is left, each row with its number."""
    ends = {0, len(rows) - 1}
    begin, places = 0.0, []
    for place, row in enumerate(rows.itertuples()):
        start, length = (0.0, row.effect) if place in ends else (begin, -row.effect)
        sign = 1 if place in ends else -1
        reach = [sign * bound for bound in (row.low, row.high)]
        span = _scaled([start, start + length, *(start + bound for bound in reach)], on_ratio)
        colour = {"color": INK, "alpha": 0.6} if place in ends else {"color": PART}
        axis.barh(place, span[1] - span[0], left=span[0], height=0.6, linewidth=0, **colour)
        axis.hlines(place, *span[2:], color=INK, linewidth=1)
        number = f"{np.exp(row.effect):.3f}" if on_ratio else f"{100 * row.effect:+.2f}"
        axis.annotate(number, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=7)
        places += span
        begin = start + length
    _name_rows(axis, rows["cause"].tolist())
    _centre(axis, np.array(places), on_ratio)


def _scaled(values: list[float], on_ratio: bool) -> list[float]:
    """Return logarithms of ratios as ratios, shares as points."""
    return [float(np.exp(value)) if on_ratio else 100 * value for value in values]


def _present(table: pd.DataFrame) -> list[str]:
    return [framework for framework in TITLES if (table["framework"] == framework).any()]


def _draw_course(axis: Axes, courses: pd.DataFrame, framework: str) -> None:
    """Draw the seeds and their mean, with a dot for each epoch where there are few."""
    marker = "o" if len(courses) < 15 else ""
    colour = LINES[framework]["color"]
    axis.plot(courses.index, courses, color=colour, linewidth=0.6, alpha=0.5, marker=marker, markersize=1.5)
    axis.plot(courses.index, courses.mean(axis=1), linewidth=1.5, marker=marker, markersize=3, **LINES[framework])


def _draw_bar(axis: Axes, place: float, values: pd.Series, framework: str) -> None:
    """Draw one bar with its mean in figures, its seeds as dots, and their spread."""
    if values.empty:
        return
    mean, spread = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axis.barh(place, mean, height=0.34, color=LINES[framework]["color"], alpha=0.5, linewidth=0)
    heights = place + 0.2 / len(values) * (np.arange(len(values)) - (len(values) - 1) / 2)
    axis.plot(values, heights, "o", color=INK, markersize=2.2, markeredgewidth=0)
    if spread:
        axis.errorbar(mean, place, xerr=spread, color=INK, linewidth=1, capsize=2.5)
    text = f"{mean:.1%}".replace("%", " %") if not METRICS[values.name].on_ratio else f"{mean:,.0f}"
    end = max(values.max(), mean + spread)
    axis.annotate(text, (end, place), (8, 0), textcoords="offset points", va="center", fontsize=7)


def _name_rows(axis: Axes, names: list[str]) -> None:
    """Name the rows, the first on top, each with the same room."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


def _centre(axis: Axes, values: np.ndarray, on_ratio: bool) -> None:
    """Draw the line of no difference in the middle of an axis that is wide enough for all values to either side."""
    axis.axvline(1 if on_ratio else 0, color=INK, linewidth=0.8)
    half = 1.08 * np.nanmax(np.abs(np.log(values) if on_ratio else values))
    if on_ratio:
        axis.set_xscale("log")
        axis.set_xlim(np.exp(-half), np.exp(half))
        _plain_log_ticks(axis.xaxis)
    else:
        axis.set_xlim(-half, half)


def _plain_log_ticks(side: Axis) -> None:
    """Put plain numbers on a log axis: 1, 2, 5 and so on, or evenly spaced ones where it spans less than a decade."""
    low, high = side.get_view_interval()
    side.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 10 * low else MaxNLocator(6))
    side.set_major_formatter("{x:g}")
    side.set_minor_locator(NullLocator())
