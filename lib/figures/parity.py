"""The ladder's figures, in the report's style."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.analysis.contrasts import title
from lib.figures.style import INK, MARGIN, WIDTH, Drawing, looks, styled
from lib.study.study import Comparison

FRAMEWORKS = looks(Comparison("framework", against="keras", others=("pytorch",), group=[]))
LINES = {framework: look | {"marker": ""} for framework, look in FRAMEWORKS.items()}
"""The colour and the dash of each framework."""

ARRANGEMENTS = {
    ("native", "fp64"): {"color": "#CC79A7", "marker": "s", "linestyle": "-", "label": "native, float64"},
    ("aligned", "fp32"): {"color": "#009E73", "marker": "^", "linestyle": "--", "label": "aligned, float32"},
    ("aligned", "fp64"): {"color": INK, "marker": "o", "linestyle": ":", "label": "aligned, float64"},
}
LEAST = 1e-17
"""The place of a difference of 0 on a log axis."""

LEAST_LOSS = 1e-8
"""That of a difference of two losses in float32, which rounds them to some 1e-7."""


@styled
def draw_rates(held: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the rates of `held_rates` and their distance from the planned ones, one column per dataset.

    A long schedule is drawn at some 400 of its steps.
    """
    figure = Drawing(figsize=(WIDTH, 3.4), layout="constrained")
    columns = figure.subplots(2, len(held), sharex="col", squeeze=False).T
    for (rate, gap), (dataset, rates) in zip(columns, held.items(), strict=True):
        for framework, steps in rates.groupby("framework", sort=False):
            drawn = steps.iloc[:: max(1, len(steps) // 400)]
            width = 3 if framework == "keras" else 1.2  # the curves coincide: the wide one stays visible
            rate.plot(drawn.step, drawn.held, linewidth=width, label=title(framework), **LINES[framework])
            gap.plot(drawn.step, drawn.held - drawn.planned, linewidth=0.8, **LINES[framework])
        rate.set_title(dataset)
        gap.set_xlabel("Step")
    columns[0, 0].set_ylabel("Learning rate held")
    columns[0, 1].set_ylabel("Held minus planned")
    figure.legend(*columns[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@styled
def draw_depths(depths: pd.DataFrame) -> Figure:
    """Draw the difference of the maps at the end of every stage, one panel per network, from `numbers.depths`."""
    groups = list(depths.groupby(["model", "input_size"], sort=False))
    figure, panels = _panels(len(groups))
    for axis, ((model, size), rows) in zip(panels, groups, strict=True):
        stages = rows.stage.unique().tolist()
        for key, look in ARRANGEMENTS.items():
            found = rows[(rows.conventions == key[0]) & (rows.precision == key[1])]
            width = 3 if key[0] == "native" else 1  # where the curves coincide the wide one stays visible
            axis.plot(range(len(stages)), found.measured.clip(lower=LEAST), markersize=3, linewidth=width, **look)
        axis.set_xticks(range(len(stages)), stages, rotation=60, ha="right", rotation_mode="anchor", fontsize=6.5)
        _finish(axis, f"{model}, {size}x{size}")
    panels[0].set_ylabel("Largest difference, relative")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


@styled
def draw_envelopes(envelopes: pd.DataFrame) -> Figure:
    """Draw a short training in float32: the difference of the frameworks, and the effect of noise on each."""
    groups = list(envelopes.groupby(["model", "input_size"], sort=False))
    figure, panels = _panels(len(groups))
    for axis, ((model, size), rows) in zip(panels, groups, strict=True):
        limit = rows.limit.clip(lower=LEAST_LOSS)
        axis.fill_between(rows.step, LEAST_LOSS, limit, color=MARGIN, linewidth=0, label="allowed")
        for framework, look in LINES.items():
            noise = rows[f"{framework}_noise"].clip(lower=LEAST_LOSS)
            axis.plot(rows.step, noise, linewidth=1, label=f"{title(framework)} from itself, with noise", **look)
        apart = rows.frameworks.clip(lower=LEAST_LOSS)
        axis.plot(rows.step, apart, "o-", color=INK, markersize=3, linewidth=1.2, label="Keras from PyTorch")
        axis.set_xticks(rows.step)
        axis.set_xlabel("Step")
        _finish(axis, f"{model}, {size}x{size}")
    panels[0].set_ylim(bottom=LEAST_LOSS / 2)  # after all panels are drawn: this fixes the upper end too
    panels[0].set_ylabel("Difference of the loss, nats")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _panels(count: int) -> tuple[Figure, np.ndarray]:
    """Return a figure with `count` panels, three in a row."""
    rows = -(-count // 3)
    figure = Drawing(figsize=(WIDTH, 0.7 + 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, min(count, 3), squeeze=False, sharey=True).ravel()
    for empty in panels[count:]:
        empty.remove()
    return figure, panels[:count]


def _finish(axis: Axes, name: str) -> None:
    axis.set_yscale("log")
    axis.set_title(name)
