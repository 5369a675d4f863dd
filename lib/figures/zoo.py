"""Many networks of several families: what they reach and cost, how they learn, and which err alike."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.cluster import hierarchy

from lib.analysis.zoo import COSTS, TIMES, front
from lib.figures.style import DASHES, INK, MARKERS, PALETTE, WIDTH, Drawing, name_rows, plain_log_ticks, styled


def family_looks(table: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Return the colour and the marker of each family of a table of `zoo.zoo`, in its order; there are ten markers."""
    return {
        family: {"color": PALETTE[place % len(PALETTE)], "marker": MARKERS[place % len(MARKERS)]}
        for place, family in enumerate(dict.fromkeys(table["family"]))
    }


@styled
def draw_overview(table: pd.DataFrame) -> Figure:
    """Draw the accuracy of each network with the published one, and per million parameters, family by family.

    `table` is that of `zoo.zoo`. A line is one sample deviation over the seeds to either side.
    """
    names, places, headings = [], [], []
    for family, rows in table.groupby("family", sort=False):
        headings.append(len(names))
        places += range(len(names) + 1, len(names) + 1 + len(rows))
        names += [family, *rows["model"]]
    ordered = pd.concat([rows for _, rows in table.groupby("family", sort=False)])
    accuracy, spread = 100 * ordered["test_accuracy"], 100 * ordered["test_accuracy_sd"].fillna(0)
    figure = Drawing(figsize=(WIDTH, 1 + 0.17 * len(names)), layout="constrained")
    reached, efficient = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    reached.hlines(places, accuracy - spread, accuracy + spread, color=INK, linewidth=1.2)
    reached.plot(accuracy, places, "o", color=INK, markersize=3.5, label="ours, mean ± 1 SD over the seeds")
    look = {"color": PALETTE[1], "markerfacecolor": "white", "markersize": 4}
    reached.plot(100 * ordered["published_accuracy"], places, "D", label="published", zorder=1.9, **look)
    reached.set_xlabel("test accuracy, %")
    efficient.plot(100 * ordered["per_million"], places, "o", color=INK, markersize=3.5)
    efficient.set_xscale("log")
    plain_log_ticks(efficient.xaxis)
    efficient.tick_params(axis="x", labelsize=6)  # three decades in a narrow panel
    efficient.set_xlabel("points per million parameters")
    name_rows(reached, names)
    efficient.tick_params(axis="y", length=0)
    for heading in headings:
        reached.get_yticklabels()[heading].set_fontweight("bold")
        for axis in (reached, efficient):
            axis.axhline(heading - 0.5, color=INK, linewidth=0.4)
    efficient.grid(visible=False, axis="y")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


@styled
def draw_costs(table: pd.DataFrame) -> Figure:
    """Draw test accuracy against each cost that is known, one panel below the other, with its Pareto front.

    `table` is that of `zoo.zoo`. The networks on the front are named beside the panel. A time that is not to be relied
    on has a hollow marker.
    """
    costs = [cost for cost in COSTS if table[cost].notna().any()]
    figure = Drawing(figsize=(WIDTH, 0.7 + 2.35 * len(costs)), layout="constrained")
    panels = figure.subplots(len(costs), 1, sharey=True, squeeze=False).ravel()
    looking = family_looks(table)
    for axis, cost in zip(panels, costs, strict=True):
        for family, rows in table.groupby("family", sort=False):
            prices = rows[cost] / COSTS[cost].unit
            look = looking[family] | {"linestyle": "", "markersize": 4.5}
            hollow = (rows["timing"] != "") & (cost in TIMES)
            for part, fill in ((~hollow, look["color"]), (hollow, "white")):
                axis.plot(prices[part], 100 * rows.loc[part, "test_accuracy"], markerfacecolor=fill, **look)
        axis.set_xscale("log")
        axis.margins(y=0.12)
        axis.set_xlabel(COSTS[cost].title)
        axis.set_ylabel("test accuracy, %")
        plain_log_ticks(axis.xaxis)
    for axis, cost in zip(panels, costs, strict=True):
        _draw_front(axis, front(table, cost), cost)
    handles = [Line2D([], [], linestyle="", label=family, **look) for family, look in looking.items()]
    stairs = Line2D([], [], color=INK, linewidth=0.8, label="Pareto front")
    figure.legend(handles=[*handles, stairs], loc="outside upper center", ncols=5)
    return figure


def _draw_front(axis: Axes, best: pd.DataFrame, cost: str) -> None:
    """Draw the front as stairs, and name its networks to the right at heights that do not collide."""
    prices, accuracy = best[cost].to_numpy() / COSTS[cost].unit, 100 * best["test_accuracy"].to_numpy()
    axis.step(prices, accuracy, where="post", color=INK, linewidth=0.8, zorder=1.5)
    low, high = axis.get_ylim()
    heights = apart((accuracy - low) / (high - low), min(0.07, 1 / len(best)))
    for name, price, value, height in zip(best["model"], prices, accuracy, heights, strict=True):
        line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2}
        where = {"xytext": (1.03, height), "textcoords": "axes fraction", "va": "center", "fontsize": 6.5}
        axis.annotate(name, (price, value), arrowprops=line | {"relpos": (0, 0.5)}, **where)


def apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Move ascending heights in [0, 1] so that neighbours are at least a gap apart, and none is above 1."""
    moved = heights.copy()
    for place in range(1, len(moved)):
        moved[place] = max(moved[place], moved[place - 1] + gap)
    moved[-1:] = np.minimum(moved[-1:], 1)
    for place in range(len(moved) - 2, -1, -1):
        moved[place] = min(moved[place], moved[place + 1] - gap)
    return moved


@styled
def draw_courses(epochs: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Draw val accuracy over the epochs, a panel for each family, a bold mean and thin seeds for each network.

    `epochs` are rows of `results.epochs` with one run per model and seed, and `table` is that of `zoo.zoo`.
    """
    groups = list(table.groupby("family", sort=False)["model"])
    across = min(len(groups), 2)
    down = -(-len(groups) // across)
    figure = Drawing(figsize=(WIDTH, 0.3 + 1.5 * down), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, (family, models) in zip(panels, groups, strict=False):
        for place, model in enumerate(models):
            runs = epochs[epochs["model"] == model]
            courses = 100 * runs.pivot(index="epoch", columns="seed", values="val_accuracy")
            look = {"color": PALETTE[place % len(PALETTE)], "linestyle": DASHES[place % len(DASHES)]}
            axis.plot(courses.index, courses, linewidth=0.4, alpha=0.4, **look)
            axis.plot(courses.index, courses.mean(axis=1), linewidth=1.3, label=model, **look)
        axis.set_title(family)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        axis.yaxis.set_major_locator(MaxNLocator(5))
        axis.tick_params(labelbottom=True, labelsize=7)
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1.05), fontsize=6, handlelength=1.8)
    for empty in panels[len(groups) :]:
        empty.remove()
    figure.supxlabel("Epoch", fontsize=8)
    figure.supylabel("Val accuracy, %", fontsize=8)
    return figure


@styled
def draw_consistency(kappa: pd.DataFrame, linkage: np.ndarray) -> Figure:
    """Draw a `zoo.consistency` as a map in the order of the clusters, below their tree.

    `linkage` is that of `zoo.clusters`. A pair without a value is grey.
    """
    ordered = kappa.iloc[leaves := hierarchy.leaves_list(linkage), leaves]
    side = 0.17 * len(ordered)
    figure = Drawing(figsize=(WIDTH, 2.9 + side), layout="constrained")
    tree, axis = figure.subplots(2, 1, height_ratios=(0.6, max(side, 0.6)))
    hierarchy.dendrogram(linkage, ax=tree, color_threshold=0, above_threshold_color=INK, no_labels=True)
    tree.collections[0].set_linewidth(0.7)
    lowest, highest = linkage[:, 2].min(), linkage[:, 2].max()
    tree.set_ylim(lowest - 0.2 * (highest - lowest + 0.01), highest + 0.01)
    tree.set_axis_off()
    numbers = ordered.map(lambda value: "" if np.isnan(value) else f"{value:.2f}".replace("0.", "."))
    colours = {"cmap": "Blues", "vmin": min(np.nanmin(ordered), 0), "cbar": False}
    sns.heatmap(ordered, ax=axis, annot=numbers, fmt="", annot_kws={"fontsize": 4.5}, linewidths=0.3, **colours)
    axis.set_xticks(np.arange(len(ordered)) + 0.5, ordered.columns, rotation=90)
    axis.set_yticks(np.arange(len(ordered)) + 0.5, ordered.index, rotation=0)
    axis.tick_params(length=0, labelsize=6.5)
    axis.set_facecolor("#dddddd")
    axis.grid(visible=False)
    figure.colorbar(axis.collections[0], ax=[tree, axis], label="kappa of errors", shrink=0.5, aspect=30)
    return figure
