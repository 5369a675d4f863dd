"""The confusion of classes as heat maps, and misclassified images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from lib.analysis import confusion
from lib.analysis.contrasts import title
from lib.figures.style import WIDTH, Drawing, styled

ACROSS = 5
"""Images in a row of `draw_mistakes`."""


@styled
def draw_confusions(base: pd.DataFrame, worst: pd.DataFrame, levels: tuple[str, str]) -> Figure:
    """Draw two tables of `confusion.confusion` in percent of the true class, and the second minus the first in points.

    `levels` are their names. A number that rounds to zero is left out. The colours of the shares follow their square
    root, since errors are rare.
    """
    figure = Drawing(figsize=(WIDTH, 1.14 * WIDTH), layout="constrained")
    (first, second), (change, key) = figure.subplots(2, 2)
    shares = [100 * confusion.shares(counts) for counts in (base, worst)]
    of, (one, other) = "% of the true class", map(title, levels)
    for axis, counts, values, name in zip((first, second), (base, worst), shares, (one, other), strict=True):
        heading = f"{name}\n{of}, n = {counts.to_numpy().sum():,} answers"
        _draw_map(axis, values, "{:.1f}", heading, cmap="Blues", norm=PowerNorm(0.5, 0, 100))
    difference = shares[1] - shares[0]
    reach = max(np.nanmax(np.abs(difference)), 1)
    _draw_map(change, difference, "{:+.1f}", f"{other} minus {one}\npoints", cmap="RdBu_r", vmin=-reach, vmax=reach)
    second.set(ylabel="", yticklabels=[])
    key.set_axis_off()
    for height, axis, meaning in ((0.75, first, of), (0.4, change, "difference in points")):
        bar = key.inset_axes((0.05, height, 0.9, 0.05))
        figure.colorbar(axis.collections[0], cax=bar, orientation="horizontal", label=meaning)
    return figure


def _draw_map(axis: Axes, values: pd.DataFrame, form: str, heading: str, **colours: object) -> None:
    numbers = values.map(lambda value: "" if np.isnan(value) or abs(value) < 0.05 else form.format(value))
    look = {"annot_kws": {"fontsize": 5.5}, "linewidths": 0.3, "square": True, "cbar": False}
    sns.heatmap(values, ax=axis, annot=numbers, fmt="", xticklabels=True, yticklabels=True, **look, **colours)
    axis.set_title(heading)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.tick_params(length=0, labelsize=6.5)
    axis.tick_params(axis="x", labelrotation=90)


def captions(mistakes: pd.DataFrame) -> list[str]:
    """Return the captions of a table of `confusion.mistakes`: the classes, and the seeds that err in this way."""
    return [f"{row.true}\n→ {row.predicted}\n{row.seeds} of {row.of} seeds" for row in mistakes.itertuples()]


@styled
def draw_mistakes(images: np.ndarray, captions: Sequence[str]) -> Figure:
    """Draw images, uint8 (n, H, W, C), C = 1 or 3, five in a row, each above its caption."""
    rows = -(-len(images) // ACROSS)
    figure = Drawing(figsize=(WIDTH, 1.75 * rows), layout="constrained")
    panels = figure.subplots(rows, ACROSS, squeeze=False).ravel()
    for place, (axis, image, caption) in enumerate(zip(panels, images, captions, strict=False)):
        axis.imshow(
            image, cmap="gray", vmin=0, vmax=255, gid=f"photographs-{place}"
        )  # the grey map is used for images of one channel
        axis.set_xlabel(caption, fontsize=7)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for empty in panels[len(images) :]:
        empty.remove()
    return figure
