"""The test predictions beyond accuracy: by class and by confidence.

They are computed from the `logits.npz` of the runs with results. Its logits are rounded to float16, so the prediction
may differ from the run's own where two classes are nearly equal.
"""

import numpy as np
import pandas as pd

from lib.analysis.results import stacked
from lib.errors import DataError
from lib.runs import logits, records
from lib.runs.logits import Predictions
from lib.study.study import Comparison, Study

BINS = 15
"""The number of equal-width bins of confidence, as in Guo et al. 2017."""

DRAWS = 200
"""The number of perfectly calibrated networks that a run is compared with."""

SHOWN_CLASSES = 10
"""The largest number of classes in a figure."""


def answers(study: Study) -> pd.DataFrame:
    """Return one row per entry and test image: the study's keys, `image`, `label`, `prediction` and `confidence`.

    The keys are categories in the study's order, and the confidence is the softmax's largest value, in float64.

    Raises:
        DataError: a file of logits is damaged, or two runs on one dataset have different labels and therefore different
            images.
    """
    found, first = [], {}
    for entry, record in records.finished(study):
        table = _answers(logits.read(record.cell))
        other, labels = first.setdefault(entry.cell.dataset, (entry.cell.name, table["label"]))
        if not labels.equals(table["label"]):
            raise DataError(f"{other} and {entry.cell.name} have other test labels: they cannot be compared")
        found.append((entry, table))
    table = stacked(study, found, ["image", "label", "prediction", "confidence"])
    return table.astype({key: pd.CategoricalDtype(study.levels(key)) for key in study.keys if key != "seed"})


def _answers(predictions: Predictions) -> pd.DataFrame:
    table = pd.DataFrame({"label": predictions.labels, "prediction": predictions.logits.argmax(axis=1)})
    below = predictions.logits.astype(np.float64) - predictions.logits.max(axis=1, keepdims=True)
    table["confidence"] = 1 / np.exp(below).sum(axis=1)  # the softmax at the largest logit; the others are not needed
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


def calibrated_errors(confidence: np.ndarray) -> np.ndarray:
    """Return the calibration errors of `DRAWS` perfectly calibrated networks with these confidences `(n,)`.

    Each has hits drawn with the probability of its confidence. The errors are due to chance alone: they are above 0,
    and the more so the fewer images there are (consistency resampling, Broecker and Smith 2007).
    """
    bins = _bin(confidence)
    order = np.argsort(bins, kind="stable")
    sure, starts = confidence[order], np.unique(bins[order], return_index=True)[1]
    hits = np.random.default_rng(0).random((DRAWS, len(sure))) < sure
    return np.abs(np.add.reduceat(sure - hits, starts, axis=1)).sum(axis=1) / len(sure)


def calibration(study: Study, answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row per entry, with the errors that a perfectly calibrated network would have by chance.

    Returns:
        The study's keys, `test_accuracy`, mean `confidence`, the `calibration_error`; the mean of `calibrated_errors`
        is the `floor`, and 95 % of them lie below `floor_high`.
    """
    rows = []
    for keys, run in answers.groupby(study.keys):
        correct, confidence = run["label"] == run["prediction"], run["confidence"].to_numpy()
        error, chance = expected_calibration_error(confidence, correct.to_numpy()), calibrated_errors(confidence)
        rows.append((*keys, correct.mean(), confidence.mean(), error, chance.mean(), np.quantile(chance, 0.95)))
    found = ["test_accuracy", "confidence", "calibration_error", "floor", "floor_high"]
    table = pd.DataFrame(rows, columns=[*study.keys, *found])
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
