"""Confusion of classes: which class an image has, which one is predicted, and by how many seeds.

Answers are rows of `predictions.answers` of one group, and names those of the classes, in the order of the labels.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.study.study import Comparison


def confusion(answers: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Count the answers of one level by true class (rows) and predicted class (columns), pooled over its seeds.

    Returns:
        Integers (classes, classes), named; their sum is n, the answers: test images times seeds.
    """
    counts = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(counts, (answers["label"].to_numpy(dtype=int), answers["prediction"].to_numpy(dtype=int)), 1)
    return pd.DataFrame(counts, index=pd.Index(names, name="true"), columns=pd.Index(names, name="predicted"))


def shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Return a `confusion` as shares of the true class; NaN in the row of a class without images."""
    return counts.div(counts.sum(axis=1).where(lambda images: images > 0), axis=0)


def worst(answers: pd.DataFrame, comparison: Comparison) -> str:
    """Return the level, other than `against`, with the lowest mean test accuracy.

    Raises:
        ValueError: no other level has answers.
    """
    hits = (answers["label"] == answers["prediction"]).groupby(answers[comparison.axis], observed=True).mean()
    return hits[hits.index.isin(comparison.others)].idxmin()


def confused(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the confused pairs of classes of a `confusion`, the most frequent first.

    Returns:
        Columns `true`, `predicted`, `count` and `share` of the true class; a pair that never occurs has no row.
    """
    table = pd.DataFrame({"count": counts.stack(), "share": shares(counts).stack()}).reset_index()
    wrong = table[(table["true"] != table["predicted"]) & (table["count"] > 0)]
    return wrong.sort_values("count", ascending=False, kind="stable", ignore_index=True)


def mistakes(answers: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the misclassified images of one level, those that most seeds misclassify in the same way first.

    Returns:
        One row per image and wrong class: `image`, `true`, `predicted`, `seeds` that err in this way, and `of`, all.
    """
    wrong = answers[answers["label"] != answers["prediction"]]
    table = wrong.groupby(["image", "label", "prediction"], as_index=False).agg(seeds=("seed", "nunique"))
    table["true"], table["predicted"] = (np.take(list(names), table[side]) for side in ("label", "prediction"))
    table["of"] = answers["seed"].nunique()
    table = table.sort_values("seeds", ascending=False, kind="stable", ignore_index=True)
    return table[["image", "true", "predicted", "seeds", "of"]]
