"""Differences with their intervals, and the parts of a gap."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.analysis import contrasts
from lib.analysis.attribution import GROUP
from lib.analysis.contrasts import METRICS, sides
from lib.figures.style import INK, MARGIN, PALETTE, PART, WIDTH, Drawing, centre, name_rows, styled, telling
from lib.study.study import Comparison


@styled
def effects(table: pd.DataFrame, results: pd.DataFrame, metric: str, comparison: Comparison) -> Figure:
    """Draw a metric's differences with the 95 % intervals of the judging test, and the equivalence margin as a band.

    Every pair of runs of the same seed is a small dot, and the mean of times that are not to be relied on is hollow.
    `table` is that of `contrasts.compare`, of `results`. Accuracy and F1 are in points, a level minus the one it is
    compared against; a speed is their ratio on a log scale. A row has no interval with fewer than two pairs or without
    a spread.
    """
    on_ratio = METRICS[metric].on_ratio
    rows = table[table["metric"] == metric].reset_index(drop=True)
    columns = ["ratio", "ratio_low", "ratio_high"] if on_ratio else ["delta", "ci_low", "ci_high"]
    unit = 1 if on_ratio else 100
    effect, low, high = unit * rows[columns].to_numpy(dtype=float).T
    lowest, highest = unit * rows[["margin_low", "margin_high"]].to_numpy(dtype=float).T
    every = contrasts.pairs(results, comparison, metric).merge(rows.reset_index(), on=[*comparison.group, "level"])
    single = every["second"] / every["first"] if on_ratio else 100 * (every["second"] - every["first"])
    figure = Drawing(figsize=(WIDTH, 1.2 + 0.17 * len(rows)), layout="constrained")
    axis = figure.subplots()
    band = {"left": lowest, "height": 1, "color": MARGIN, "linewidth": 0, "label": "equivalence margin"}
    axis.barh(range(len(rows)), highest - lowest, **band)
    axis.hlines(range(len(rows)), low, high, color=INK, linewidth=1.2, label="95 % t interval")
    axis.plot(effect, range(len(rows)), "o", color=INK, markersize=4, label="mean over the pairs")
    doubtful = np.flatnonzero(rows["judgement"] == contrasts.UNRELIABLE)
    if len(doubtful):
        hollow = {"color": INK, "markersize": 4, "markerfacecolor": "white", "label": contrasts.UNRELIABLE}
        axis.plot(effect[doubtful], doubtful, "o", **hollow)
    rank = every.groupby("index").cumcount()
    depth = every["index"] + 0.15 + 0.25 * rank / max(rank.max(), 1)
    axis.plot(single, depth, "o", color=PALETTE[0], markersize=2.5, alpha=0.8, label="one pair")
    name_rows(axis, [" ".join(names) for names in rows[telling(rows, comparison)].to_numpy()])
    centre(axis, np.array([*effect, *single, *low, *high, *lowest, *highest]), on_ratio)
    against, level = sides(comparison)
    scale = f"{level} / {against}," if on_ratio else f"{level} minus {against}, points of"
    axis.set_xlabel(f"← {against} higher        {level} higher →\n{scale} {METRICS[metric].title}")
    figure.legend(loc="outside upper center", ncols=4)
    return figure


@styled
def waterfall(effects: pd.DataFrame, on_ratio: bool) -> Figure:
    """Draw the parts of a gap between the frameworks, one panel per model: native gap, causes, and gap of twins.

    `effects` is a table of `attribution.effects`. Each bar of a cause starts at the end of the one before it, and
    subtracts the cause's part; a whisker is its interval, and those of the parts are simultaneous. An accuracy is in
    points, PyTorch minus Keras; a speed is the ratio PyTorch / Keras on a log scale.
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
    whole = Patch(color=INK, alpha=0.6, lw=0, label="gap, native and aligned")
    part = Patch(color=PART, lw=0, label="part of a cause")
    reach = Line2D([], [], color=INK, linewidth=1, label="95 % interval, simultaneous for parts")
    figure.legend(handles=[whole, part, reach], loc="outside upper center", ncols=3)
    return figure


def _draw_waterfall(axis: Axes, rows: pd.DataFrame, on_ratio: bool) -> None:
    """Draw the native gap, the parts of the causes, and the gap of twins, each row with its number."""
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
    name_rows(axis, rows["cause"].tolist())
    centre(axis, np.array(places), on_ratio)


def _scaled(values: list[float], on_ratio: bool) -> list[float]:
    """Return logarithms of ratios as ratios, shares as points."""
    return [float(np.exp(value)) if on_ratio else 100 * value for value in values]
