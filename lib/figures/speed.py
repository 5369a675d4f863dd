"""The speed of the project's own training loop, beside others."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.analysis.contrasts import title
from lib.analysis.speed import GOALS, KEYS, between
from lib.figures.style import FRAMEWORKS, INK, MARKERS, PALETTE, WIDTH, Drawing, name_rows, plain_log_ticks, styled


@styled
def draw_ratios(table: pd.DataFrame) -> Figure:
    """Draw ratios of speeds with their 95 % intervals, one row for each network and other loop, on a log axis.

    `table` has the columns of `analysis.speed.ratios`. Strokes mark the goals.
    """
    figure = Drawing(figsize=(WIDTH, 0.9 + 0.23 * len(table)), layout="constrained")
    axis = figure.subplots()
    axis.axvline(1, color=INK, linewidth=0.8)
    for place, row in enumerate(table.itertuples()):
        framework = FRAMEWORKS[row.framework]
        look = {"color": PALETTE[framework], "marker": MARKERS[framework]}
        axis.hlines(place, row.ratio_low, row.ratio_high, color=look["color"], linewidth=1.2)
        label = title(row.framework) if row.framework not in table["framework"].iloc[:place].to_numpy() else None
        axis.plot(row.ratio, place, linestyle="", markersize=4, label=label, **look)
        if row.kind in GOALS:
            axis.vlines(GOALS[row.kind], place - 0.4, place + 0.4, color=INK, linewidth=1.2)
    varying = [key for key in KEYS[1:] if table[key].nunique() > 1]
    name_rows(axis, [" ".join([*names[:-1], f"/ {names[-1]}"]) for names in table[[*varying, "loop"]].to_numpy()])
    low, high = (np.log(table[name]) for name in ("ratio_low", "ratio_high"))
    reach = 1.1 * max(-low.min(), high.max(), 0.05)
    axis.set_xscale("log")
    axis.set_xlim(np.exp(-reach), np.exp(reach))
    plain_log_ticks(axis.xaxis)
    axis.set_xlabel("← the other loop faster        ours faster →\nspeed of our loop / speed of the other")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def words(table: pd.DataFrame) -> tuple[str, str]:
    """Return the caption and the alternative text of `draw_ratios`."""
    caption = (
        "Speed of the project's own loop over that of others, with its 95 % interval. A "
        f"stroke is a goal: {GOALS['bare']:g} of the bare loop, {GOALS['alternative']:g} of what a user would take."
    )
    rows = [
        f"{row.framework} {row.model} {row.precision} / {row.loop}: {between(row.ratio, row.ratio_low, row.ratio_high)}"
        for row in table.itertuples()
    ]
    return caption, f"Ratios of speeds with their intervals. {'; '.join(rows)}."
