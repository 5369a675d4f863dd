"""The effects of many arms in one figure, grouped by question."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.analysis.contrasts import METRICS, title
from lib.figures.style import INK, MARGIN, WIDTH, Drawing, centre, name_rows, styled


@styled
def draw_ablations(table: pd.DataFrame) -> Figure:
    """Draw the difference of each level to one in points, with simultaneous 95 % intervals, question by question.

    `table` is that of `ablations.simultaneous` with a `question`, for one metric with its margin on the difference; the
    band is this margin. A row without an interval has a dot alone. An interval ends at 100 points, since no two shares
    differ by more.
    """
    metric, against = METRICS[table["metric"].iloc[0]], title(table["against"].iloc[0])
    names, places, headings = [], [], []
    for question, rows in table.groupby("question", sort=False):
        headings.append(len(names))
        places += range(len(names) + 1, len(names) + 1 + len(rows))
        names += [question, *rows["level"]]
    columns = ["delta", "simultaneous_low", "simultaneous_high"]
    effect, low, high = np.clip(100 * table[columns].to_numpy(dtype=float).T, -100, 100)
    margin = [100 * table[bound].iloc[0] for bound in ("margin_low", "margin_high")]
    figure = Drawing(figsize=(WIDTH, 1.1 + 0.17 * len(names)), layout="constrained")
    axis = figure.subplots()
    axis.axvspan(*margin, color=MARGIN, linewidth=0, label="equivalence margin")
    axis.hlines(places, low, high, color=INK, linewidth=1.2, label="simultaneous 95 % interval")
    axis.plot(effect, places, "o", color=INK, markersize=3.5, label="mean over the pairs")
    name_rows(axis, names)
    for heading in headings:
        axis.get_yticklabels()[heading].set_fontweight("bold")
        axis.axhline(heading - 0.5, color=INK, linewidth=0.4)
    for place, points in zip(places, effect, strict=True):
        if np.isfinite(points):
            where = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 7}
            axis.annotate(f"{points:+.2f}", (1.01, place), **where)
    centre(axis, np.array([*effect, *low, *high, *margin]), on_ratio=False)
    axis.set_xlabel(f"← {against} higher        other higher →\nother minus {against}, points of {metric.title}")
    figure.legend(loc="outside upper center", ncols=3)
    return figure
