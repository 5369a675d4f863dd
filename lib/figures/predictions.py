"""The figures of the test predictions: by class, by confidence, and the differences between two runs."""

from itertools import chain, cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lib.analysis.agreement import kinds
from lib.analysis.predictions import class_gaps, widest
from lib.figures.style import INK, PALETTE, WIDTH, Drawing, in_percent, looks, name_levels, present, styled
from lib.study.study import Comparison


@styled
def draw_classes(classes: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw one dataset's rows of `per_class`: one panel per model and precision, one row per class, one dot per level.

    A line reaches from the lowest seed to the highest. A panel has the classes of `widest`.
    """
    figure, panels = _panels(classes, comparison, height=1.85)
    looking = looks(comparison)
    for axis, group in panels:
        shown = widest(class_gaps(group, comparison))["class"].drop_duplicates().tolist()
        for rank, level in enumerate(present(group, comparison)):
            rows, look = group[group[comparison.axis] == level], looking[level]
            chosen = rows.set_index("class").reindex(shown)
            places = np.arange(len(shown)) + 0.64 * ((rank + 0.5) / len(looking) - 0.5)
            axis.hlines(places, chosen["lowest"], chosen["highest"], color=look["color"], linewidth=1.2)
            axis.plot(chosen["accuracy"], places, **look | {"linestyle": ""}, markersize=3.5)
        axis.set_yticks(range(len(shown)), shown)
        axis.set_ylim(len(shown) - 0.5, -0.5)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        in_percent(axis.xaxis)
        _name_sides(axis, "Test accuracy", "Class")
    name_levels(figure, classes, comparison)
    return figure


@styled
def draw_reliability(curves: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw one dataset's rows of `reliability`: one panel per model and precision, one curve per level.

    A dot's area is its bin's share of the images; the curve joins the bins with at least 1 % of them. Below the
    diagonal a network is overconfident.
    """
    figure, panels = _panels(curves, comparison, height=1.85)
    looking = looks(comparison)
    for axis, group in panels:
        axis.axline((0, 0), slope=1, color=INK, linewidth=0.8)
        for level in present(group, comparison):
            rows = group[group[comparison.axis] == level]
            share = rows["images"] / rows["images"].sum()
            joined = rows[share >= 0.01]
            look = looking[level]
            axis.plot(joined["confidence"], joined["accuracy"], linewidth=1, **look | {"marker": ""})
            look = {"color": look["color"], "marker": look["marker"], "alpha": 0.7, "linewidths": 0}
            axis.scatter(rows["confidence"], rows["accuracy"], 4 + 100 * share, **look)
        axis.set(xlim=(0, 1.04), ylim=(-0.04, 1.04))
        in_percent(axis.xaxis)
        in_percent(axis.yaxis)
        _name_sides(axis, "Confidence", "Accuracy")
    name_levels(figure, curves, comparison)
    return figure


@styled
def draw_churn(disagreements: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw each group's churn: one lane per kind of pair, one dot per pair of runs, and a stroke for their mean."""
    groups = list(disagreements.groupby(comparison.group))
    colours = _kinds(comparison)
    columns = 4 if len(colours) <= 4 else 2
    height = 0.86 + 0.14 * -(-len(colours) // columns) + 0.105 * len(colours) * len(groups)
    figure = Drawing(figsize=(WIDTH, height), layout="constrained")
    axis = figure.subplots()
    lanes = np.linspace(-0.3, 0.3, len(colours))
    for place, (_, group) in enumerate(groups):
        for (kind, colour), lane in zip(colours.items(), place + lanes, strict=True):
            shares = group.loc[group["comparison"] == kind, "churn"]
            axis.plot(shares, np.full(len(shares), lane), "o", color=colour, alpha=0.5, markersize=3, markeredgewidth=0)
            axis.plot(shares.mean(), lane, "|", color=colour, markersize=8, markeredgewidth=2)
    names = ["\n".join((keys[0], " ".join(keys[1:]))) for keys, _ in groups]
    axis.set_yticks(range(len(groups)), names)
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    axis.set_xlim(left=0)
    in_percent(axis.xaxis)
    axis.set_xlabel("Test images on which two runs differ")
    dot = {"linestyle": "", "marker": "o", "markersize": 3.5}
    handles = [Line2D([], [], color=colour, label=kind, **dot) for kind, colour in colours.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)
    return figure


def _kinds(comparison: Comparison) -> dict[str, str]:
    """Return the kinds of pairs of runs, each with its colour; the kinds across two levels are grey and dark."""
    within, across = kinds(comparison)
    colours = [str(look["color"]) for look in looks(comparison).values()]
    more = cycle(("#999999", INK) if len(across) == 2 else (*PALETTE[len(colours) :], INK, "#999999"))
    return dict(zip([*within, *across], chain(colours, more), strict=False))


def _panels(
    table: pd.DataFrame, comparison: Comparison, height: float
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Lay out one panel per group of a dataset: one column per model, or three columns with a single model."""
    keys = sorted((key for key in comparison.group if key != "dataset"), key=lambda key: key == "model")
    groups = list(table.groupby(keys))
    models = table["model"].nunique() if "model" in keys else 1
    columns = models if models > 1 else min(3, len(groups))
    lines = -(-len(groups) // columns)
    figure = Drawing(figsize=(WIDTH, 0.5 + height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for empty in axes[len(groups) :]:
        empty.remove()
    for axis, (names, _) in zip(axes, groups, strict=False):
        axis.set_title(", ".join(map(str, reversed(names))))
    return figure, [(axis, rows) for axis, (_, rows) in zip(axes, groups, strict=False)]


def _name_sides(axis: Axes, across: str, up: str) -> None:
    """Name the axes of a panel; only the outer panels have names, since all share them."""
    place = axis.get_subplotspec()
    axis.set_xlabel(across if place.is_last_row() else "")
    axis.set_ylabel(up if place.is_first_col() else "")
