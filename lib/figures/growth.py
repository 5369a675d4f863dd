"""How the time of commands grows with the number of runs."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.figures.style import DASHES, INK, MARKERS, PALETTE, WIDTH, Drawing, plain_log_ticks, styled


@styled
def draw_growth(table: pd.DataFrame) -> Figure:
    """Draw seconds against runs on log axes, one line for each `what`, and linear growth to compare with.

    `table` has `what`, `runs` and `seconds`, one row for each command and number of runs.
    """
    figure = Drawing(figsize=(WIDTH, 3.2), layout="constrained")
    axis = figure.subplots()
    for place, (what, rows) in enumerate(table.groupby("what", sort=False)):
        look = {"color": PALETTE[place % len(PALETTE)], "linestyle": DASHES[place % len(DASHES)]}
        ordered = rows.sort_values("runs")
        axis.plot(ordered["runs"], ordered["seconds"], MARKERS[place % len(MARKERS)], markersize=4, label=what, **look)
    axis.set_xscale("log")
    axis.set_yscale("log")
    runs = np.array([table["runs"].min(), table["runs"].max()])
    axis.set_autoscale_on(False)
    linear = table["seconds"].min() * runs / runs[0]
    axis.plot(runs, linear, color=INK, linewidth=0.6, label="linear growth")
    axis.set_xticks(sorted(table["runs"].unique()), [f"{count:,}" for count in sorted(table["runs"].unique())])
    axis.minorticks_off()
    plain_log_ticks(axis.yaxis)
    axis.set_xlabel("runs of the study")
    axis.set_ylabel("seconds")
    figure.legend(loc="outside upper center", ncols=3)
    return figure
