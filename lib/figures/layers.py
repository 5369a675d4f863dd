"""What was measured of the activation layers: scales by depth, and the shares of dead units."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from lib.analysis.contrasts import title
from lib.figures.style import WIDTH, Drawing, looks, present, styled
from lib.study.study import Comparison

SCALES = {"scale": "Activations, RMS", "gradient": "Gradients, RMS"}


@styled
def draw_scales(scales: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw the scales of activations and gradients by depth, before, early and late in the training, one line a level.

    `scales` is a table of `neurons.scales` by the comparison's axis. Epoch 0 is before the training.
    """
    levels = present(scales, comparison)
    shown = sorted({int(scales["epoch"].min()), 1, int(scales["epoch"].max())})
    figure = Drawing(figsize=(WIDTH, 4.6), layout="constrained")
    panels = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
    for row, (column, heading) in zip(panels, SCALES.items(), strict=True):
        for panel, epoch in zip(row, shown, strict=True):
            for level in levels:
                found = scales[(scales[comparison.axis] == level) & (scales["epoch"] == epoch)].sort_values("depth")
                look = looks(comparison)[level]
                panel.plot(found["depth"], found[column], linewidth=1.3, markersize=3, label=title(level), **look)
            panel.set_yscale("log")
            panel.set_title("before the training" if epoch == 0 else f"after epoch {epoch}")
        row[0].set_ylabel(heading)
    figure.supxlabel("Depth: activation layers from the input", fontsize=8)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=min(len(levels), 6))
    return figure


@styled
def draw_shares(table: pd.DataFrame, column: str, share: str, comparison: Comparison) -> Figure:
    """Draw a share of units in percent as a heat map: one row per level, one column per value of `column`.

    `table` is one of `neurons.shares` by the comparison's axis and `column`, which is a depth or an epoch. The colours
    follow the square root of the share, since most shares are small.
    """
    levels = present(table, comparison)
    values = 100 * table.pivot(index=comparison.axis, columns=column, values=share).reindex(levels)
    few = len(values.columns) <= 14
    figure = Drawing(figsize=(WIDTH, 1.1 + 0.22 * len(values)), layout="constrained")
    panel = figure.subplots()
    numbers = values.map(lambda value: "" if np.isnan(value) else f"{value:.1f}")
    sns.heatmap(
        values,
        ax=panel,
        annot=numbers if few else None,
        fmt="",
        annot_kws={"fontsize": 6.5},
        cmap="Blues",
        norm=PowerNorm(0.5, 0, max(np.nanmax(values), 1)),
        linewidths=0.3 if few else 0,
        yticklabels=[title(level) for level in levels],
        cbar_kws={"label": "% of the units"},
    )
    panel.tick_params(length=0)
    panel.tick_params(axis="y", labelrotation=0)
    panel.set_xlabel(
        {"depth": "Depth: activation layers from the input", "epoch": "After epoch (0: untrained)"}[column]
    )
    panel.set_ylabel("")
    return figure
