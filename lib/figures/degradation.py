"""Train and test error over the epochs, in the manner of figure 6 of He et al. (2016)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lib.figures.style import INK, WIDTH, Drawing, looks, styled
from lib.study.study import Comparison

ERRORS = {"train_accuracy": ("--", "train error"), "test_accuracy": ("-", "test error")}


@styled
def draw_errors(epochs: pd.DataFrame, comparisons: Sequence[Comparison]) -> Figure:
    """Draw the errors of the models of each comparison in one panel: train error dashed, test error solid.

    `epochs` is the table of `results.epochs` of one group, with a column `test_accuracy`. A bold line is the mean over
    the seeds, and a thin one a single seed.
    """
    figure = Drawing(figsize=(WIDTH, 3.1), layout="constrained")
    panels = figure.subplots(1, len(comparisons), sharex=True, sharey=True, squeeze=False)[0]
    for axis, comparison in zip(panels, comparisons, strict=True):
        colours = {model: look["color"] for model, look in looks(comparison).items()}
        for model, colour in colours.items():
            runs = epochs[epochs["model"] == model]
            for column, (dash, _) in ERRORS.items():
                errors = 100 * (1 - runs.pivot(index="epoch", columns="seed", values=column))
                axis.plot(errors.index, errors, dash, color=colour, linewidth=0.5, alpha=0.4)
                axis.plot(errors.index, errors.mean(axis=1), dash, color=colour, linewidth=1.6)
        handles = [Line2D([], [], color=colour, label=model) for model, colour in colours.items()]
        axis.legend(handles=handles, loc="lower left")
        axis.set_xlabel("Epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    panels[0].set_ylabel("Error, %")
    panels[0].set_ylim(0, 1.05 * np.nanmax(100 * (1 - epochs[list(ERRORS)].to_numpy(dtype=float))))
    kinds = [Line2D([], [], linestyle=dash, color=INK, label=name) for dash, name in ERRORS.values()]
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    return figure
