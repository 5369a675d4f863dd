"""Selecting on test: what the epoch with the best test accuracy reports beyond the epoch that the val split chose."""

import pandas as pd

from lib.analysis.estimates import mean_interval
from lib.study.study import Comparison

SELECTION = ("n", "chosen", "best", "flattery", "low", "high")


def selection(epochs: pd.DataFrame, results: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return the test accuracy of the epoch chosen on val and of the best epoch on test, one row per group and level.

    `epochs` is the table of `analysis.results.epochs` with a column `test_accuracy`, and `results` gives each run's
    `epoch_best`. A run counts if its chosen epoch has a test accuracy; without any such run the table is empty.

    Returns:
        The comparison's group and axis, then `SELECTION`: the seeds, and the means over them of both accuracies and of
        `flattery`, best minus chosen on the same seed, with its 95 % paired t interval (NaN without a spread). All are
        shares; the flattery is never negative.
    """
    by = [*comparison.group, comparison.axis]
    run = [*by, "seed"]
    measured = epochs.reindex(columns=[*run, "epoch", "test_accuracy"]).dropna(subset=["test_accuracy"])
    best = measured.groupby(run, sort=False, as_index=False).agg(best=("test_accuracy", "max"))
    chosen = results[[*run, "epoch_best"]].rename(columns={"epoch_best": "epoch"}).merge(measured, on=[*run, "epoch"])
    runs = chosen.rename(columns={"test_accuracy": "chosen"}).merge(best, on=run)
    rows = []
    for keys, found in runs.groupby(by, sort=False):
        flattery = (found["best"] - found["chosen"]).to_numpy()
        rows.append((*keys, len(found), found["chosen"].mean(), found["best"].mean(), *mean_interval(flattery)))
    return pd.DataFrame(rows, columns=[*by, *SELECTION])
