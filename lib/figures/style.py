"""The style that all figures share, for a page that is 16 cm wide.

A framework has the same colour, dash and marker everywhere. The colours can be told apart with any colour vision (Okabe
and Ito 2008), and dash, marker or hatch tell the same without colour.
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
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from lib.analysis.contrasts import title
from lib.study.study import Comparison

WIDTH = 16 / 2.54
"""The text width of the PDF in inches, so that font sizes are those on paper."""

INK = "#333333"
MARGIN = "#BFE5DA"
PART = "#009E73"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
DASHES = ("-", (0, (4, 1.5)), ":", "-.")
MARKERS = "os^Dv*PX<>"
HATCHES = ("", "////", "....", "xxxx")
LOOKS = {"color": PALETTE, "linestyle": DASHES, "marker": MARKERS}
FRAMEWORKS = {"keras": 0, "pytorch": 1}
"""A framework's place in the palette; any other level has its place among the levels."""

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


class Drawing(Figure):
    """A figure that Jupyter shows without pyplot, which would keep it open and show it twice."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=150)
        return file.getvalue()


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the report's style, without a change to matplotlib's own settings."""

    @wraps(draw)
    def inside(*args: object, **kwargs: object) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return inside


def looks(comparison: Comparison) -> dict[str, dict[str, object]]:
    """Return the colour, dash and marker of each level of a comparison, the one compared against first."""
    levels = (comparison.against, *comparison.others)
    places = {level: FRAMEWORKS.get(level, place) for place, level in enumerate(levels)}
    return {
        level: {name: values[place % len(values)] for name, values in LOOKS.items()} for level, place in places.items()
    }


def present(table: pd.DataFrame, comparison: Comparison) -> list[str]:
    """Return the levels that a table has, in their order."""
    found = set(table[comparison.axis])
    return [level for level in looks(comparison) if level in found]


def telling(table: pd.DataFrame, comparison: Comparison) -> list[str]:
    """Return the columns that name the rows of a table of comparisons; a comparison of frameworks needs no level."""
    if comparison.axis == "framework":
        return comparison.group
    return [key for key in comparison.group if table[key].nunique() > 1] + ["level"]


def name_levels(figure: Figure, table: pd.DataFrame, comparison: Comparison) -> None:
    """Put a legend of the levels that a table has above a figure."""
    looking, among = looks(comparison), present(table, comparison)
    handles = [Line2D([], [], markersize=3.5, label=title(name), **looking[name]) for name in among]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))


def in_percent(side: Axis) -> None:
    """Write the shares of an axis as percentages."""
    side.set_major_formatter(lambda share, _: f"{100 * share:g} %")


def name_rows(axis: Axes, names: list[str]) -> None:
    """Name the rows, the first on top, at equal distances."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


def centre(axis: Axes, values: np.ndarray, on_ratio: bool) -> None:
    """Draw the line of no difference in the middle of the axis, which is wide enough for all values."""
    axis.axvline(1 if on_ratio else 0, color=INK, linewidth=0.8)
    half = 1.08 * np.nanmax(np.abs(np.log(values) if on_ratio else values))
    if on_ratio:
        axis.set_xscale("log")
        axis.set_xlim(np.exp(-half), np.exp(half))
        plain_log_ticks(axis.xaxis)
    else:
        axis.set_xlim(-half, half)


def plain_log_ticks(side: Axis) -> None:
    """Put plain numbers on a log axis: 1, 2, 5 and so on, or evenly spaced ones where it spans less than a decade."""
    low, high = side.get_view_interval()
    side.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 10 * low else MaxNLocator(6))
    side.set_major_formatter("{x:g}")
    side.set_minor_locator(NullLocator())
