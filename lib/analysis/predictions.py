"""What the test predictions say beyond accuracy: on which classes, how surely, and on which images two runs differ.

All is computed from the `logits.npz` of the runs that have results. Its logits are rounded to float16, so where two
classes all but tie, the prediction may be another than the run's own.
"""

import zipfile
import zlib
from itertools import combinations, product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.spatial.distance import pdist
from scipy.special import softmax

from lib.analysis.results import GROUP, KEYS
from lib.errors import DataError
from lib.figures.style import INK, LINES, TITLES, WIDTH, Drawing, styled
from lib.runs import state as runs
from lib.study.datasets import DATASETS
from lib.study.params import Cell, Study
from lib.training.protocol import Predictions

BINS = 15
"""Equal-width bins of confidence, as many as Guo et al. 2017 take."""

SHOWN_CLASSES = 10
"""As many classes as a figure has room for."""

ANSWERS = [*KEYS, "image", "label", "prediction", "confidence"]

COMPARISONS = {
    "within Keras": LINES["keras"]["color"],
    "within PyTorch": LINES["pytorch"]["color"],
    "across, same seed": "#999999",
    "across, other seeds": INK,
}
"""The kinds of pairs of runs, each with its colour."""


def load(cell: Cell) -> Predictions:
    """Read a run's test logits, float32 `(n, classes)`, and labels `(n,)`, in the order of the test split.

    A logit beyond the range of float16, which a diverged run may have, is read as the largest number of that type.
    `DataError` names a file that is absent, damaged, of the wrong shape, or holds what is no number.
    """
    path, classes = runs.product(cell, "logits.npz"), DATASETS[cell.dataset].classes
    try:
        with np.load(path) as file:
            logits, labels = file["logits"].astype(np.float32), file["labels"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not the logits of a run: {error}") from None
    if labels.ndim != 1 or logits.shape != (len(labels), classes):
        shapes = f"logits {logits.shape} and labels {labels.shape}"
        raise DataError(f"{path}: holds {shapes}; {cell.dataset} has (n, {classes}) and (n,)")
    if np.isnan(logits).any() or not np.isin(labels, range(classes)).all():
        raise DataError(f"{path}: holds a logit that is no number, or a label that is no class of {cell.dataset}")
    largest = np.finfo(np.float16).max
    return Predictions(logits.clip(-largest, largest), labels)


def answers(study: Study) -> pd.DataFrame:
    """Return one row a run and test image, with the columns `ANSWERS`; the names are categories in the study's order.

    The confidence is the softmax's largest value, in float64. `DataError` names a file that `load` refuses, and two
    runs with other labels: they saw other images, and cannot be compared.
    """
    found = {cell: _answers(cell, load(cell)) for cell in study.cells if runs.state(cell).kind in runs.WITH_RESULTS}
    _refuse_other_labels(found)
    table = pd.concat(found.values(), ignore_index=True) if found else pd.DataFrame(columns=ANSWERS)
    axes = {
        "framework": study.frameworks,
        "dataset": study.datasets,
        "model": study.models,
        "precision": study.precisions,
    }
    return table.astype({name: pd.CategoricalDtype(values) for name, values in axes.items()})


def _answers(cell: Cell, predictions: Predictions) -> pd.DataFrame:
    logits, labels = predictions
    table = pd.DataFrame({"label": labels, "prediction": logits.argmax(axis=1)})
    table["confidence"] = softmax(logits.astype(np.float64), axis=1).max(axis=1)
    return table.assign(image=table.index, **{key: getattr(cell, key) for key in KEYS})[ANSWERS]


def _refuse_other_labels(found: dict[Cell, pd.DataFrame]) -> None:
    first: dict[str, tuple[str, pd.Series]] = {}
    for cell, table in found.items():
        other, labels = first.setdefault(cell.dataset, (cell.name, table["label"]))
        if not labels.equals(table["label"]):
            raise DataError(f"{other} and {cell.name} have other test labels: they cannot be compared")


def per_class(answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row a group, framework and class: test `images`, `seeds`, mean `accuracy` and its range."""
    each = [*GROUP, "framework", "class"]
    hits = answers.assign(correct=answers["label"] == answers["prediction"]).rename(columns={"label": "class"})
    scores = hits.groupby([*each, "seed"], as_index=False).agg(images=("correct", "size"), accuracy=("correct", "mean"))
    return scores.groupby(each, as_index=False).agg(
        images=("images", "first"),
        seeds=("seed", "size"),
        accuracy=("accuracy", "mean"),
        lowest=("accuracy", "min"),
        highest=("accuracy", "max"),
    )


def class_gaps(classes: pd.DataFrame) -> pd.DataFrame:
    """Set the frameworks of `per_class` side by side: one row a group and class; `delta` is PyTorch minus Keras."""
    means = classes.rename(columns={"accuracy": "mean"}).drop(columns="seeds")
    keras, pytorch = (means[means["framework"] == name].drop(columns="framework") for name in ("keras", "pytorch"))
    sides = keras.merge(pytorch, on=[*GROUP, "class", "images"], how="outer", suffixes=("_keras", "_pytorch"))
    return sides.assign(delta=sides["mean_pytorch"] - sides["mean_keras"])


def widest(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the few rows of `class_gaps` where the frameworks differ most, or, with one framework, the least exact."""
    gap, lowest = gaps["delta"].abs(), gaps[["mean_keras", "mean_pytorch"]].min(axis=1)
    order = pd.DataFrame({"gap": gap, "lowest": lowest}).sort_values(["gap", "lowest"], ascending=[False, True])
    return gaps.loc[order.index[:SHOWN_CLASSES]].sort_index()


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return how far confidence `(n,)` and hits `(n,)` are apart in a bin, on average over the images, in [0, 1].

    Guo et al. 2017, eq. 3, with 15 equal-width bins: a bin's weight times its gap is the sum of its images' gaps.
    """
    gaps = np.bincount(_bin(confidence), weights=confidence - correct)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration(answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run: `KEYS`, then `test_accuracy`, the mean `confidence`, and the `calibration_error`."""
    rows = []
    for keys, run in answers.groupby(KEYS):
        correct = run["label"] == run["prediction"]
        error = expected_calibration_error(run["confidence"].to_numpy(), correct.to_numpy())
        rows.append((*keys, correct.mean(), run["confidence"].mean(), error))
    table = pd.DataFrame(rows, columns=[*KEYS, "test_accuracy", "confidence", "calibration_error"])
    return table.astype(answers.dtypes[KEYS].to_dict())


def reliability(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the reliability curves, all seeds together: a row a group, framework and bin that has `images`."""
    binned = answers.assign(bin=_bin(answers["confidence"]), correct=answers["label"] == answers["prediction"])
    return binned.groupby([*GROUP, "framework", "bin"], as_index=False).agg(
        images=("correct", "size"), confidence=("confidence", "mean"), accuracy=("correct", "mean")
    )


def _bin(confidence: np.ndarray) -> np.ndarray:
    """Number the bins from 0; each holds its upper end, as in the paper."""
    return np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)


def disagreements(answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row a pair of runs of one group: the kind of `comparison`, the two runs, and their `churn`.

    Churn is the share of the test images on which the two predict another class (Milani Fard et al. 2016).
    """
    rows = []
    for keys, group in answers.groupby(GROUP):
        wide = group.pivot(index=["framework", "seed"], columns="image", values="prediction")
        pairs = zip(combinations(wide.index, 2), pdist(wide, "hamming"), strict=True)
        rows += [(*keys, _comparison(one, other), *one, *other, share) for (one, other), share in pairs]
    columns = [*GROUP, "comparison", "framework", "seed", "other_framework", "other_seed", "churn"]
    kinds = {"comparison": pd.CategoricalDtype(list(COMPARISONS))}
    return pd.DataFrame(rows, columns=columns).astype(answers.dtypes[GROUP].to_dict() | kinds)


def _comparison(one: tuple[str, int], other: tuple[str, int]) -> str:
    (framework, seed), (other_framework, other_seed) = one, other
    if framework == other_framework:
        return f"within {TITLES[framework]}"
    return "across, same seed" if seed == other_seed else "across, other seeds"


def churn(disagreements: pd.DataFrame) -> pd.DataFrame:
    """Return one row a group and kind of comparison: pairs of runs, and mean, least and largest churn."""
    return disagreements.groupby([*GROUP, "comparison"], as_index=False).agg(
        pairs=("churn", "size"), churn=("churn", "mean"), lowest=("churn", "min"), highest=("churn", "max")
    )


def excess(churn: pd.DataFrame) -> pd.DataFrame:
    """Return one row a group: churn `within` a framework (the mean of both), `across` with other seeds, and `excess`.

    Let the seed decide with which probability a framework gives an image each class. The excess of `across` over
    `within` then estimates, without bias, half the squared distance of the two frameworks' probabilities, on average
    over the images (the energy distance of Szekely and Rizzo 2013, of Hamming distances). NaN where a framework has
    fewer than two seeds.
    """
    wide = churn.pivot(index=GROUP, columns="comparison", values="churn").reindex(columns=list(COMPARISONS))
    table = pd.DataFrame(
        {
            "within": wide[["within Keras", "within PyTorch"]].mean(axis=1, skipna=False),
            "across": wide["across, other seeds"],
        }
    )
    # Nine digits: the noise of floating point must not pass for an excess.
    return table.assign(excess=(table["across"] - table["within"]).round(9)).reset_index()


@styled
def draw_classes(classes: pd.DataFrame) -> Figure:
    """Draw one dataset's rows of `per_class`: a panel a model and precision, a row a class, a dot a framework.

    A line reaches from the lowest seed to the highest. A panel has the classes of `widest`.
    """
    figure, panels = _panels(classes, height=2.3)
    for axis, group in panels:
        shown = widest(class_gaps(group))["class"].tolist()
        for framework, rows in group.groupby("framework"):
            chosen, colour = rows.set_index("class").reindex(shown), LINES[framework]["color"]
            places = np.arange(len(shown)) + (-0.16 if framework == "keras" else 0.16)
            axis.hlines(places, chosen["lowest"], chosen["highest"], color=colour, linewidth=1.2)
            axis.plot(chosen["accuracy"], places, "o", color=colour, markersize=3.5)
        axis.set_yticks(range(len(shown)), shown)
        axis.set_ylim(len(shown) - 0.5, -0.5)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        _in_percent(axis.xaxis)
        _name_sides(axis, "Test accuracy", "Class")
    _name_frameworks(figure, classes)
    return figure


@styled
def draw_reliability(curves: pd.DataFrame) -> Figure:
    """Draw one dataset's rows of `reliability`: a panel a model and precision, a curve a framework.

    A dot's area is its bin's share of the images, and the curve joins the bins that hold at least 1 % of them. Below
    the diagonal a framework is surer than it is right.
    """
    figure, panels = _panels(curves, height=2.1)
    for axis, group in panels:
        axis.axline((0, 0), slope=1, color=INK, linewidth=0.8)
        for framework, rows in group.groupby("framework"):
            share = rows["images"] / rows["images"].sum()
            joined = rows[share >= 0.01]
            axis.plot(joined["confidence"], joined["accuracy"], linewidth=1, **LINES[framework])
            look = {"color": LINES[framework]["color"], "alpha": 0.7, "linewidths": 0}
            axis.scatter(rows["confidence"], rows["accuracy"], 4 + 100 * share, **look)
        axis.set(xlim=(0, 1.04), ylim=(-0.04, 1.04))
        _in_percent(axis.xaxis)
        _in_percent(axis.yaxis)
        _name_sides(axis, "Confidence", "Accuracy")
    _name_frameworks(figure, curves)
    return figure


@styled
def draw_churn(disagreements: pd.DataFrame) -> Figure:
    """Draw each group's churn: a lane a kind of comparison, a dot a pair of runs, and a stroke for their mean."""
    groups = list(disagreements.groupby(GROUP))
    names = [f"{dataset}\n{model} {precision}" for (dataset, model, precision), _ in groups]
    figure = Drawing(figsize=(WIDTH, 1.0 + 0.42 * len(groups)), layout="constrained")
    axis = figure.subplots()
    lanes = np.linspace(-0.3, 0.3, len(COMPARISONS))
    for place, (_, group) in enumerate(groups):
        for (kind, colour), lane in zip(COMPARISONS.items(), place + lanes, strict=True):
            shares = group.loc[group["comparison"] == kind, "churn"]
            axis.plot(shares, np.full(len(shares), lane), "o", color=colour, alpha=0.5, markersize=3, markeredgewidth=0)
            axis.plot(shares.mean(), lane, "|", color=colour, markersize=8, markeredgewidth=2)
    axis.set_yticks(range(len(groups)), names)
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    axis.set_xlim(left=0)
    _in_percent(axis.xaxis)
    axis.set_xlabel("Test images on which two runs differ")
    looks = {"linestyle": "", "marker": "o", "markersize": 3.5}
    handles = [Line2D([], [], color=colour, label=kind, **looks) for kind, colour in COMPARISONS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


def _panels(table: pd.DataFrame, height: float) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Lay out a panel for each group of one dataset: a column a model, a row a precision."""
    groups = dict(iter(table.groupby(["precision", "model"])))
    precisions, models = (dict.fromkeys(names) for names in zip(*groups, strict=True))
    figure = Drawing(figsize=(WIDTH, 0.5 + height * len(precisions)), layout="constrained")
    axes = figure.subplots(len(precisions), len(models), squeeze=False)
    panels = []
    for axis, (precision, model) in zip(axes.flat, product(precisions, models), strict=True):
        axis.set_title(f"{model}, {precision}")
        if (precision, model) in groups:
            panels.append((axis, groups[precision, model]))
        else:
            axis.set_axis_off()
    return figure, panels


def _in_percent(side: Axis) -> None:
    side.set_major_formatter(lambda share, _: f"{100 * share:g} %")


def _name_sides(axis: Axes, across: str, up: str) -> None:
    """Name the axes of a panel; all panels share the names, so the outer ones have them."""
    place = axis.get_subplotspec()
    axis.set_xlabel(across if place.is_last_row() else "")
    axis.set_ylabel(up if place.is_first_col() else "")


def _name_frameworks(figure: Figure, table: pd.DataFrame) -> None:
    present = table["framework"].unique()
    handles = [Line2D([], [], marker="o", markersize=3.5, label=TITLES[name], **LINES[name]) for name in present]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
