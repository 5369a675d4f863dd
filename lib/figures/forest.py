"""The headline as a forest: every group with its interval, the same drawn to the mean, and the mean itself."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from lib.analysis.contrasts import METRICS, title
from lib.analysis.headline import Headline, scaled
from lib.figures.style import INK, MARGIN, PART, WIDTH, Drawing, centre, name_rows, styled
from lib.study.study import Comparison

RAW = "#999999"


@styled
def forest(rows: pd.DataFrame, found: Headline, comparison: Comparison) -> Figure:
    """Draw the groups of a headline, one level and metric: raw grey, shrunken black, the mean as a diamond.

    `rows` is the table of `headline.shrunken`. The band is the margin. Accuracies are in points, speeds are ratios on a
    log scale. A row without a spread has a dot alone, one that is not shrunken no black one.
    """
    metric, level = METRICS[rows["metric"].iloc[0]], title(rows["level"].iloc[0])
    against = title(comparison.against)

    def scale(values: np.ndarray) -> np.ndarray:
        return np.exp(values) if metric.on_ratio else 100 * np.asarray(values)

    raw = scaled(rows)
    value, (low, high) = scale(raw.value), map(scale, raw.interval())
    middle, left, right = (scale(rows[name]) for name in ("shrunken", "shrunken_low", "shrunken_high"))
    margin, ends = scale(found.margin), scale(found.mean.interval())
    places, mean = np.arange(len(rows)), scale(found.mean.value)
    figure = Drawing(figsize=(WIDTH, 1.4 + 0.23 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.axvspan(*margin, color=MARGIN, linewidth=0, label="equivalence margin")
    axis.hlines(places - 0.14, low, high, color=RAW, linewidth=1.2, label="group, 95 % interval")
    axis.plot(value, places - 0.14, "o", color=RAW, markersize=3.5)
    axis.hlines(places + 0.14, left, right, color=INK, linewidth=1.2, label="drawn to the mean (to show)")
    axis.plot(middle, places + 0.14, "s", color=INK, markersize=3)
    corners = [(ends[0], len(rows)), (mean, len(rows) - 0.3), (ends[1], len(rows)), (mean, len(rows) + 0.3)]
    axis.add_patch(Polygon(corners, color=PART, label="mean of the groups, 95 % interval"))
    names = [" ".join(names) for names in rows[comparison.group].to_numpy()]
    name_rows(axis, [*names, "mean"])
    centre(axis, np.array([*value, *low, *high, *left, *right, *margin, *ends]), metric.on_ratio)
    scale_name = f"{level} / {against}," if metric.on_ratio else f"{level} minus {against}, points of"
    axis.set_xlabel(f"← {against} higher        {level} higher →\n{scale_name} {metric.title}")
    figure.legend(loc="outside upper center", ncols=2)
    return figure
