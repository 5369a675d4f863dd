"""The test predictions beyond accuracy: by class, by confidence, and the images on which two runs differ.

They are computed from the `logits.npz` of the runs with results. Its logits are rounded to float16, so the prediction
may differ from the run's own where two classes are nearly equal.
"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from scipy.special import softmax

from lib.analysis.contrasts import title
from lib.errors import DataError
from lib.runs import logits, records
from lib.runs.logits import Predictions
from lib.study.study import Comparison, Study

BINS = 15
"""The number of equal-width bins of confidence, as in Guo et al. 2017."""

SHOWN_CLASSES = 10
"""The largest number of classes in a figure."""


def kinds(comparison: Comparison) -> tuple[list[str], list[str]]:
    """Return the kinds of pairs of runs: those within a level, and those across, from `against` to another level."""
    _, against, others, _ = comparison
    across = [f"{_across(level, comparison)}, {seed}" for level in others for seed in ("same seed", "other seeds")]
    return [f"within {title(level)}" for level in (against, *others)], across


def _across(level: str, comparison: Comparison) -> str:
    return "across" if len(comparison.others) == 1 else f"{title(comparison.against)} to {title(level)}"


def answers(study: Study) -> pd.DataFrame:
    """Return one row per entry and test image: the study's keys, `image`, `label`, `prediction` and `confidence`.

    The keys are categories in the study's order, and the confidence is the softmax's largest value, in float64.

    Raises:
        DataError: a file of logits is damaged, or two runs on one dataset have different labels and therefore different
            images.
    """
    columns = [*study.keys, "image", "label", "prediction", "confidence"]
    found, first = [], {}
    for entry, record in records.finished(study):
        table = _answers(logits.read(record.cell)).assign(**study.row(entry))[columns]
        other, labels = first.setdefault(entry.cell.dataset, (entry.cell.name, table["label"]))
        if not labels.equals(table["label"]):
            raise DataError(f"{other} and {entry.cell.name} have other test labels: they cannot be compared")
        found.append(table)
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
    return table.astype({key: pd.CategoricalDtype(study.levels(key)) for key in study.keys if key != "seed"})


def _answers(predictions: Predictions) -> pd.DataFrame:
    table = pd.DataFrame({"label": predictions.labels, "prediction": predictions.logits.argmax(axis=1)})
    table["confidence"] = softmax(predictions.logits.astype(np.float64), axis=1).max(axis=1)
    return table.assign(image=table.index)


def per_class(answers: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return one row per group, level and class: test `images`, `seeds`, mean `accuracy` and its range."""
    each = [*comparison.group, comparison.axis, "class"]
    hits = answers.assign(correct=answers["label"] == answers["prediction"]).rename(columns={"label": "class"})
    scores = hits.groupby([*each, "seed"], as_index=False).agg(images=("correct", "size"), accuracy=("correct", "mean"))
    return scores.groupby(each, as_index=False).agg(
        images=("images", "first"),
        seeds=("seed", "size"),
        accuracy=("accuracy", "mean"),
        lowest=("accuracy", "min"),
        highest=("accuracy", "max"),
    )


def class_gaps(classes: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Compare the levels of `per_class`: one row per group, other level and class; `delta` is level - against.

    Without a comparison, the only level is `against`, and `level` is empty.
    """
    axis, against, others, group = comparison
    by = [*group, "class", "images"]
    means = {level: rows.set_index(by)["accuracy"] for level, rows in classes.groupby(axis)}
    first = means.get(against, pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[]] * len(by), names=by)))
    sides = [
        pd.DataFrame({"mean_against": first, "mean_level": means.get(level, np.nan)}).assign(level=level)
        for level in others or [""]
    ]
    found = pd.concat(sides).reset_index().assign(against=against)
    found["delta"] = found["mean_level"] - found["mean_against"]
    return found[[*group, "against", "level", "class", "images", "mean_against", "mean_level", "delta"]]


def widest(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `class_gaps` with the widest gaps or, with one level, the lowest accuracies."""
    gap, lowest = gaps["delta"].abs(), gaps[["mean_against", "mean_level"]].min(axis=1)
    order = pd.DataFrame({"gap": gap, "lowest": lowest}).sort_values(["gap", "lowest"], ascending=[False, True])
    return gaps.loc[order.index[:SHOWN_CLASSES]].sort_index()


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the distance of confidence `(n,)` and hits `(n,)` in a bin, averaged over the images, in [0, 1].

    Guo et al. 2017, eq. 3, with 15 equal-width bins: a bin's weight times its gap is the sum of its images' gaps.
    """
    gaps = np.bincount(_bin(confidence), weights=confidence - correct)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration(study: Study, answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row per entry: the study's keys, `test_accuracy`, mean `confidence`, and the `calibration_error`."""
    rows = []
    for keys, run in answers.groupby(study.keys):
        correct = run["label"] == run["prediction"]
        error = expected_calibration_error(run["confidence"].to_numpy(), correct.to_numpy())
        rows.append((*keys, correct.mean(), run["confidence"].mean(), error))
    table = pd.DataFrame(rows, columns=[*study.keys, "test_accuracy", "confidence", "calibration_error"])
    return table.astype(answers.dtypes[study.keys].to_dict())


def reliability(answers: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return the reliability curves over all seeds: one row per group, level and bin with `images`."""
    binned = answers.assign(bin=_bin(answers["confidence"]), correct=answers["label"] == answers["prediction"])
    return binned.groupby([*comparison.group, comparison.axis, "bin"], as_index=False).agg(
        images=("correct", "size"), confidence=("confidence", "mean"), accuracy=("correct", "mean")
    )


def _bin(confidence: np.ndarray) -> np.ndarray:
    """Number the bins from 0; each includes its upper end, as in the paper."""
    return np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)


def disagreements(answers: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return the `churn` of each pair of runs of a group, within a level or between `against` and another.

    Churn is the share of the test images for which the two predict different classes (Milani Fard et al. 2016).

    Returns:
        The group's columns, `comparison` (the kind of pair), `level` and `seed` of the one run, `other_level` and
        `other_seed` of the other, and `churn`.
    """
    axis, against, others, group = comparison
    rows = []
    for keys, answered in answers[answers[axis].isin([against, *others])].groupby(group):
        wide = answered.pivot(index=[axis, "seed"], columns="image", values="prediction")
        for (one, other), share in zip(combinations(wide.index, 2), pdist(wide, "hamming"), strict=True):
            if one[0] == other[0] or against in (one[0], other[0]):
                rows.append((*keys, _kind(one, other, comparison), *one, *other, share))
    columns = [*group, "comparison", "level", "seed", "other_level", "other_seed", "churn"]
    within, across = kinds(comparison)
    types = answers.dtypes[group].to_dict() | {"comparison": pd.CategoricalDtype([*within, *across])}
    return pd.DataFrame(rows, columns=columns).astype(types)


def _kind(one: tuple[str, int], other: tuple[str, int], comparison: Comparison) -> str:
    (level, seed), (other_level, other_seed) = one, other
    if level == other_level:
        return f"within {title(level)}"
    name = _across(other_level if level == comparison.against else level, comparison)
    return f"{name}, {'same seed' if seed == other_seed else 'other seeds'}"


def churn(disagreements: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return one row per group and kind of pair: the number of pairs, and mean, smallest and largest churn."""
    return disagreements.groupby([*comparison.group, "comparison"], as_index=False).agg(
        pairs=("churn", "size"), churn=("churn", "mean"), lowest=("churn", "min"), highest=("churn", "max")
    )


def excess(disagreements: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return one row per group and other level: churn `within` a level (the mean of both), `across`, and `excess`.

    `across` counts pairs with different seeds. Over the seeds, a level predicts each class of an image with some
    probability. The excess of `across` over `within` is an unbiased estimate of half the squared distance of the two
    levels' probabilities, averaged over the images (the energy distance of Szekely and Rizzo 2013 for Hamming
    distances). A group in which a level has fewer than two seeds is left out.
    """
    _, against, others, group = comparison
    rows = []
    for keys, found in disagreements.groupby(group):
        means = found.groupby(["level", "other_level", found["seed"] == found["other_seed"]])["churn"].mean()
        for level in others:
            pairs = [(against, against, False), (level, level, False)]
            mixed = [means.get(pair) for pair in ((against, level, False), (level, against, False))]
            known = [value for value in mixed if value is not None]
            if known and all(pair in means for pair in pairs):
                within, across = np.mean([means[pair] for pair in pairs]), known[0]
                # Nine digits: floating-point noise must not appear as an excess.
                rows.append((*keys, level, within, across, round(across - within, 9)))
    return pd.DataFrame(rows, columns=[*group, "level", "within", "across", "excess"])
